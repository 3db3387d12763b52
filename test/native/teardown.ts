// Ends of processes, workers and memory while I/O is going on: each case runs in a child, which must end as told, never by a signal.

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { Workspace } from '../helpers/workspace.js';

const work = new Workspace('native-teardown');
t.teardown(() => work.dispose());

const DISK = new URL('../../src/disk/', import.meta.url);

/** Start of every child: an engine `e` of `kind`, an arena and an open file with operations to put on it. */
function prelude(kind: string): string {
  return `
    import { IoEngine, OpenFile } from '${new URL('engine.js', DISK)}';
    import { createArena } from '${new URL('memory.js', DISK)}';
    import { binding, OP } from '${new URL('native.js', DISK)}';
    import { constants } from 'node:fs';
    const e = new IoEngine({ kind: '${kind}', workers: 4 });
    const file = new OpenFile(binding.open(process.argv[2], constants.O_RDWR, 0));
    let done = 0;
    const target = { ioDone() { done++; } };
    const flood = (arena = createArena(1 << 20)) => {
      for (let i = 0; i < 200; i++) e.queue(OP.writeDurable, file, arena, 0, 1 << 20, (i % 16) << 20, target, i);
      e.kick();
    };
  `;
}

type End = { code: number | null; signal: string | null; output: string };

function run(name: string, source: string, flags: readonly string[] = []): Promise<End> {
  const script = work.file(`${name}.mjs`);
  const data = work.file(`${name}.data`);
  writeFileSync(script, source);
  writeFileSync(data, Buffer.alloc(16 << 20));
  return new Promise((resolve) => {
    const child = work.adopt(spawn(process.execPath, [...flags, script, data], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 }));
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

/**
 * End of a script: four workers run it and are ended in the middle, then its process. Prints 1 four times, exits with 3. A worker says
 * when it has come here: one that is ended while it still loads ends with 0 and has tested nothing.
 */
const ENDS_WORKERS_AND_ITSELF = `
    import { Worker, isMainThread, parentPort } from 'node:worker_threads';
    if (!isMainThread) parentPort.postMessage('at work');
    else {
      for (let i = 0; i < 4; i++) {
        const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
        await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
        await new Promise((resolve) => setTimeout(resolve, 20));
        console.log(await worker.terminate());
      }
      process.exit(3);
    }`;

t.test('a process that ends while netlink is about to answer ends in order', async (t) => {
  const source = `
    import { binding } from '${new URL('native.js', DISK)}';
    import { familyRequest } from '${new URL('../../src/attach/netlink-message.js', import.meta.url)}';
    const ask = () => binding.netlinkExchange(binding.netlinkOpen(), familyRequest('nlctrl', 1), () => {});
    for (let i = 0; i < 20; i++) ask();`;
  for (let i = 0; i < 8; i++) t.same(await run(`netlink-${i}`, source), { code: 0, signal: null, output: '' });
});

t.test('a worker, or a process, ends while sockets are received from', async (t) => {
  const source = `
    import { binding } from '${new URL('native.js', DISK)}';
    const [ours, theirs] = binding.socketPair(65536);
    const receiver = binding.openReceiver(theirs, () => {});
    binding.receive(receiver, new Uint8Array(4096), 4096);
    ${ENDS_WORKERS_AND_ITSELF}`;
  t.same(await run('receive', source), { code: 3, signal: null, output: '1\n1\n1\n1\n' });
});

t.test('an uncaught exception of who is told what came ends the process with it; a closed receiver does not hold it', async (t) => {
  const source = (told: string): string => `
    import { writeSync } from 'node:fs';
    import { binding } from '${new URL('native.js', DISK)}';
    const [ours, theirs] = binding.socketPair(65536);
    const receiver = binding.openReceiver(theirs, () => { ${told} });
    binding.receive(receiver, new Uint8Array(4096), 1);
    writeSync(ours, 'x');`;
  const end = await run('receive-throw', source(`throw new Error('from a receiver')`));
  t.equal(end.code, 1);
  t.match(end.output, /from a receiver/);
  t.same(await run('receive-close', source(`binding.closeReceiver(receiver); console.log('told')`)), {
    code: 0,
    signal: null,
    output: 'told\n',
  });
});

t.test('a worker, or a process, ends while pieces are sent; an uncaught exception of who is told ends the process', async (t) => {
  const prelude = `
    import { binding } from '${new URL('native.js', DISK)}';
    const [ours, theirs] = binding.socketPair(65536);
    const outlet = binding.openOutlet(ours);`;
  const source = `${prelude}
    const told = new Uint32Array(8);
    const sender = binding.openSender(told, (count) => { for (let i = 0; i < count; i++) send(); });
    const piece = new Uint8Array(4096);
    const send = () => { binding.releaseOutlet(outlet); binding.sendPiece(sender, outlet, piece); };
    send();
    ${ENDS_WORKERS_AND_ITSELF}`;
  t.same(await run('send', source), { code: 3, signal: null, output: '1\n1\n1\n1\n' });
  const thrown = `${prelude}
    const piece = new Uint8Array(1);
    const sender = binding.openSender(new Uint32Array(1), () => { throw new Error('from a sender'); });
    binding.sendPiece(sender, outlet, piece);`;
  const end = await run('send-throw', thrown);
  t.equal(end.code, 1);
  t.match(end.output, /from a sender/);
  const idle = `${prelude} binding.openSender(new Uint32Array(1), () => {}); console.log('opened');`;
  t.same(await run('send-idle', idle), { code: 0, signal: null, output: 'opened\n' });
});

for (const kind of ['io_uring', 'threads']) {
  t.test(`${kind}: process.exit with operations in flight`, async (t) => {
    t.same(await run(`exit-${kind}`, `${prelude(kind)} flood(); process.exit(7);`), { code: 7, signal: null, output: '' });
  });

  t.test(`${kind}: an uncaught exception inside a completion ends the process with it`, async (t) => {
    const end = await run(`throw-${kind}`, `${prelude(kind)} target.ioDone = () => { throw new Error('from a completion'); }; flood();`);
    t.equal(end.code, 1);
    t.match(end.output, /from a completion/);
  });

  t.test(`${kind}: the process waits for what is in flight, and ends by itself then`, async (t) => {
    const source = `${prelude(kind)} flood(); process.on('exit', () => console.log(done));`;
    t.same(await run(`drain-${kind}`, source), { code: 0, signal: null, output: '200\n' });
  });

  t.test(`${kind}: an idle engine does not hold the process`, async (t) => {
    t.same(await run(`idle-${kind}`, `${prelude(kind)}`), { code: 0, signal: null, output: '' });
  });

  t.test(`${kind}: closing the native engine with operations in flight is safe`, async (t) => {
    const source = `${prelude(kind)}
      const sq = new Float64Array(8 * 8), cq = new Float64Array(8 * 2), arena = createArena(1 << 20);
      for (let round = 0; round < 20; round++) {
        const bare = binding.openEngine('${kind}', 8, 4, sq, cq, () => {});
        for (let i = 0; i < 8; i++) sq.set([OP.writeDurable, file.fd, i << 20, arena.address, 1 << 20, i, 0, 0], i * 8);
        binding.submit(bare, 8);
        binding.closeEngine(bare);
        await new Promise((resolve) => setImmediate(resolve));
      }
      console.log('closed');`;
    t.same(await run(`close-${kind}`, source), { code: 0, signal: null, output: 'closed\n' });
  });

  t.test(`${kind}: arenas are collected, but not under an operation`, async (t) => {
    // The kernel would write into unmapped or foreign memory if an arena went too early; the count of mapped bytes shows that they go.
    const source = `${prelude(kind)}
      import { readFileSync } from 'node:fs';
      const mappedMb = () => Number(/VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
      const before = mappedMb();
      for (let round = 0; round < 40; round++) {
        const arena = createArena(64 << 20);
        for (let i = 0; i < 8; i++) e.queue(OP.read, file, arena, i << 20, 1 << 20, i << 20, target, i);
        e.kick();
        gc();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      while (e.busy > 0) await new Promise((resolve) => setTimeout(resolve, 5));
      for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
      const grown = mappedMb() - before;
      console.log(done, grown < 1000 ? 'freed' : grown);`;
    t.same(await run(`gc-${kind}`, source, ['--expose-gc']), { code: 0, signal: null, output: '320 freed\n' });
  });

  t.test(`${kind}: workers load the addon, use it and are terminated in flight`, async (t) => {
    const worker = work.file(`worker-${kind}.mjs`);
    writeFileSync(
      worker,
      `${prelude(kind)}
      import { parentPort } from 'node:worker_threads';
      flood();
      parentPort.postMessage('started');
      setInterval(() => {}, 1000);`,
    );
    const source = `
      import { Worker } from 'node:worker_threads';
      for (let i = 0; i < 4; i++) {
        const worker = new Worker(${JSON.stringify(worker)}, { argv: [process.argv[2]] });
        await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
        await worker.terminate();
      }
      console.log('survived');`;
    t.same(await run(`workers-${kind}`, source), { code: 0, signal: null, output: 'survived\n' });
  });
}
