// Credentials, readiness notification and memory rules.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, connect as netConnect, type Socket } from 'node:net';
import t from 'tap';
import { notify, peerCredentials } from '../../src/disk/system.js';
import { Workspace } from '../helpers/workspace.js';

const work = new Workspace('native-system');
t.teardown(() => work.dispose());

const SYSTEM = new URL('../../src/disk/system.js', import.meta.url);
const MEMORY = new URL('../../src/disk/memory.js', import.meta.url);

t.test('the peer of a unix socket is known', async (t) => {
  const path = work.file('peer.sock');
  const server = createServer().listen(path);
  const client = netConnect(path);
  const [socket] = (await once(server, 'connection')) as [Socket];
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  t.same(peerCredentials(fd), { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
  client.destroy();
  socket.destroy();
  server.close();
});

t.test('credentials of something else are an error', async (t) => {
  t.throws(() => peerCredentials(1_000_000), { code: 'EBADF', errno: 9, syscall: 'getsockopt' });
});

/** Receives one datagram on `address` (leading @: abstract) and prints it, after running notify() in a node process. */
const RECEIVER = `
import os, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
address = sys.argv[1]
s.bind('\\0' + address[1:] if address[0] == '@' else address)
s.settimeout(20)
subprocess.run([sys.argv[2], '--input-type=module', '-e', sys.argv[3]], env=dict(os.environ, NOTIFY_SOCKET=address), check=True)
print(s.recv(4096).decode(), end='')
`;

for (const address of [work.file('notify.sock'), `@lvr-test-${process.pid}`]) {
  t.test(`the service manager at ${address.startsWith('@') ? 'an abstract' : 'a path'} address hears the state`, async (t) => {
    const send = `import { notify } from '${SYSTEM}'; if (!notify('READY=1\\nSTATUS=ok')) process.exit(3);`;
    const result = spawnSync('python3', ['-c', RECEIVER, address, process.execPath, send], { encoding: 'utf8' });
    t.equal(result.stderr, '');
    t.equal(result.stdout, 'READY=1\nSTATUS=ok');
  });
}

t.test('without a service manager notify() says so', async (t) => {
  delete process.env['NOTIFY_SOCKET'];
  t.equal(notify('READY=1'), false);
  process.env['NOTIFY_SOCKET'] = work.file('nobody.sock');
  t.throws(() => notify('READY=1'), { code: 'ENOENT' });
  delete process.env['NOTIFY_SOCKET'];
});

/** Whether this process has a capability, by its number in capabilities(7). */
function capable(number: bigint): boolean {
  const mask = /CapEff:\s+([0-9a-f]+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${mask}`) >> number) & 1n) === 1n;
}

/** Calls one function of the module in a child, since its effect is for life; prints `after`, or the code of the error. */
function inChild(call: string, after: string): string {
  const source = `
    import { readFileSync } from 'node:fs';
    import { createArena } from '${MEMORY}';
    import { ${call} } from '${SYSTEM}';
    try { ${call}(); console.log(${after}); } catch (error) { console.log(error.code); }`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', source], { encoding: 'utf8' });
  return stdout.trim() + stderr;
}

t.test('the flusher flag is set where the process may set it', async (t) => {
  // PF_MEMALLOC_NOIO is one of the two flags behind it; flags are field 9 of stat.
  const flags = `(Number(readFileSync('/proc/thread-self/stat', 'utf8').split(') ')[1].split(' ')[6]) & 0x80000) !== 0`;
  t.equal(inChild('setIoFlusher', flags), capable(24n) ? 'true' : 'EPERM');
});

t.test('code and arenas are locked as they are touched, and V8 can still free its heap', async (t) => {
  // V8 gives heap back when it collects garbage and when it ends; with all memory locked it aborts there.
  const work = `(() => {
    const { bytes, address } = createArena(8 << 20);
    const lockedKib = (smaps) => Number(/Locked:\\s+(\\d+)/.exec(smaps)?.[1] ?? 0);
    const all = () => lockedKib(readFileSync('/proc/self/smaps_rollup', 'utf8'));
    // Of the arena alone: pages of code count for less when another process begins to share them.
    const ofArena = () => {
      const mappings = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
      return lockedKib(mappings.find((mapping) => {
        const [from, to] = mapping.split(' ', 1)[0].split('-').map((bound) => parseInt(bound, 16));
        return from <= address && address < to;
      }));
    };
    const before = ofArena();
    bytes.fill(1);
    for (let i = 0; i < 50; i++) { new Array(1e6).fill(i); gc(); }
    return all() > 1000 && ofArena() - before >= 8 << 10;
  })()`;
  const outcome = inChild('lockMemory', work);
  t.equal(outcome, capable(14n) ? 'true' : 'ENOMEM');
});
