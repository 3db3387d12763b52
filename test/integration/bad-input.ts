// Wrong configs, devices, logs, peers and clients, through the binaries: each gets the error that names it and its exit code, nothing is
// changed, and a healthy group in the same agent goes on.

import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import t from 'tap';
import { LVRD, makePair, startPair, TestAgent } from '../helpers/agent.js';
import { mustRun, runCommand, sleep, until } from '../helpers/command.js';
import { NbdClient } from '../helpers/nbd-client.js';
import { Workspace } from '../helpers/workspace.js';

const MIB = 1048576;
const workspace = new Workspace('bad');
t.teardown(() => workspace.dispose());
t.setTimeout(590_000);

/** A config with one group in `directory`; `edit` changes the text. */
function config(directory: string, edit: (text: string) => string): string {
  const text = [
    '[agent]',
    'site = "a"',
    `state_dir = "${directory}/state"`,
    `control = "${directory}/agent.sock"`,
    '[groups.app]',
    'role = "primary"',
    `log = { path = "${directory}/app.log", size = "16MiB" }`,
    '[groups.app.volumes.data]',
    `device = "${directory}/data.img"`,
    'size = "16MiB"',
    '[groups.app.volumes.wal]',
    `device = "${directory}/wal.img"`,
    'size = "16MiB"',
    '',
  ].join('\n');
  const path = `${directory}/lvr.toml`;
  writeFileSync(path, edit(text));
  return path;
}

/** Text of another group `bad` for a healthy agent's config. */
function badGroup(directory: string, device: string, log = `{ path = "${directory}/bad.log", size = "16MiB" }`): string {
  return `[groups.bad]\nrole = "primary"\nlog = ${log}\n[groups.bad.volumes.data]\ndevice = "${device}"\nsize = "64MiB"\n`;
}

/** Starts an agent with group `app` beside `extra`, and checks that `bad` failed with `id` while `app` serves. */
async function expectFailedGroup(
  t: Tap,
  name: string,
  extra: (directory: string) => string,
  id: string,
  exit: number,
  says: RegExp,
): Promise<void> {
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '16MiB' }, logSize: '16MiB' }, name);
  agent.writeConfig(extra(agent.directory));
  await agent.start();
  const client = await agent.connect('data');
  await client.write(0, Buffer.alloc(4096, 1));
  await client.flush();
  await client.close();
  const status = await agent.status('bad');
  t.equal(status?.health, 'failed', `${name}: health`);
  t.match(status?.reason, says, `${name}: reason in status`);
  const result = await agent.lvr('promote', 'bad');
  t.equal(result.code, exit, `${name}: exit code`);
  t.match(result.stderr, new RegExp(`error\\[${id}\\]`), `${name}: ${id}`);
  t.equal(await agent.stop(), 0);
}

type Tap = Pick<typeof t, 'ok' | 'equal' | 'match' | 'same'>;

const CONFIG_CASES: readonly { name: string; edit: (text: string) => string; says: RegExp }[] = [
  {
    name: 'an unknown key',
    edit: (text) => text.replace('site = ', 'sight = "x"\nsite = '),
    says: /lvr\.toml:2 agent\.sight: unknown key/,
  },
  {
    name: 'a wrong type',
    edit: (text) => text.replace('site = "a"', 'site = 7'),
    says: /lvr\.toml:2 agent\.site: expected a string, got 7/,
  },
  {
    name: 'a wrong role',
    edit: (text) => text.replace('"primary"', '"primry"'),
    says: /lvr\.toml:6 groups\.app\.role: .*did you mean "primary"/,
  },
  {
    name: 'two volumes on one device',
    edit: (text) => text.replace('/wal.img', '/data.img'),
    says: /lvr\.toml:12 groups\.app\.volumes\.wal\.device: .*already used by volume app\/data/,
  },
  {
    name: 'a log below 16 MiB',
    edit: (text) => text.replace('size = "16MiB" }', 'size = "8MiB" }'),
    says: /lvr\.toml:7 groups\.app\.log\.size: .*16MiB/,
  },
  {
    name: 'a log on its own volume',
    edit: (text) => text.replace('/app.log', '/data.img'),
    says: /lvr\.toml:7 groups\.app\.log\.path: .*app\/data/,
  },
  { name: 'text that is not TOML', edit: (text) => text.replace('[groups.app]', '[groups.app'), says: /lvr\.toml:5 not TOML/ },
];

t.test('a wrong config is refused with file, line and key, exit code 10, and nothing is made', async (t) => {
  for (const [at, { name, edit, says }] of CONFIG_CASES.entries()) {
    const directory = workspace.directory(`config${at}`);
    const result = await runCommand(process.execPath, [LVRD, '--config', config(directory, edit)], { timeoutMs: 10_000 });
    t.equal(result.code, 10, `${name}: exit code`);
    t.match(result.stderr, /error\[LVR-E1100\]/, name);
    t.match(result.stderr, says, name);
    for (const file of ['app.log', 'data.img', 'wal.img', 'state', 'agent.sock'])
      t.notOk(existsSync(`${directory}/${file}`), `${name}: no ${file}`);
  }
  const missing = await runCommand(process.execPath, [LVRD, '--config', workspace.file('none.toml')], { timeoutMs: 10_000 });
  t.equal(missing.code, 10, 'a missing file');
  t.match(missing.stderr, /none\.toml: cannot be read/);
});

t.test('a wrong command line names what is wrong and uses the exit codes of the manual', async (t) => {
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '16MiB' }, logSize: '16MiB' }, 'cli');
  const away = await agent.lvr('status');
  t.equal(away.code, 7, 'no agent');
  t.match(away.stderr, /error\[LVR-E1005\]/);
  await agent.start();
  const cases: readonly [string[], number, RegExp][] = [
    [['statsu'], 2, /did you mean status|status/i],
    [['status', '--bogus'], 2, /bogus/],
    [['promote'], 2, /./],
    [['promote', 'nosuch'], 3, /error\[LVR-E1002\]: .*nosuch/],
    [['demote', 'nosuch'], 3, /error\[LVR-E1002\]/],
    [['attach', 'app/nosuch'], 3, /error\[LVR-E1002\]: .*nosuch/],
    [['log', 'show', '--raw', workspace.file('no.log')], 3, /no\.log/],
  ];
  for (const [parameters, exit, says] of cases) {
    const result = await agent.lvr(...parameters);
    t.equal(result.code, exit, parameters.join(' '));
    t.match(result.stderr, says, parameters.join(' '));
    t.equal(result.stdout, '', 'nothing on stdout');
  }
  const json = await agent.lvr('promote', 'nosuch', '-o', 'json');
  t.match(JSON.parse(json.stderr), { error: { code: String, message: /nosuch/, exit: 3 } });
  t.equal(await agent.stop(), 0);
});

t.test('a device that is too small, of the wrong kind or missing fails its group only', async (t) => {
  const small = (directory: string): string => {
    writeFileSync(`${directory}/small.img`, Buffer.alloc(MIB));
    return badGroup(directory, `${directory}/small.img`);
  };
  await expectFailedGroup(t, 'small', small, 'LVR-E1110', 1, /small\.img/);
  const folder = (directory: string): string => {
    mkdirSync(`${directory}/folder`);
    return badGroup(directory, `${directory}/folder`);
  };
  await expectFailedGroup(t, 'folder', folder, 'LVR-E1110', 1, /folder is a directory/);
  await expectFailedGroup(t, 'absent', (directory) => badGroup(directory, `${directory}/no/such.img`), 'LVR-E1110', 1, /such\.img/);
});

t.test('files of another agent are held, and the message says by whom', async (t) => {
  const owner = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '16MiB' }, logSize: '16MiB' }, 'owner');
  await owner.start();
  const device = `${owner.directory}/data.img`;
  await expectFailedGroup(t, 'thief', (directory) => badGroup(directory, device).replace('64MiB', '16MiB'), 'LVR-E1111', 12, /data\.img/);
  const log = `{ path = "${owner.directory}/app.log", size = "16MiB" }`;
  await expectFailedGroup(t, 'logthief', (directory) => badGroup(directory, `${directory}/x.img`, log), 'LVR-E1111', 12, /app\.log/);
  t.equal((await owner.status())?.health, 'healthy', 'the owner is undisturbed');
  t.equal(await owner.stop(), 0);
});

const needsRoot = process.getuid?.() === 0 && existsSync('/dev/loop-control') ? false : 'needs root and loop devices';

t.test('a mounted block device is refused and stays as it was', { skip: needsRoot }, async (t) => {
  const image = workspace.file('mounted.img');
  const place = workspace.directory('mnt');
  await mustRun('truncate', ['-s', '64M', image]);
  await mustRun('mkfs.ext4', ['-q', image]);
  const loop = (await mustRun('losetup', ['--find', '--show', image])).trim();
  try {
    await mustRun('mount', [loop, place]);
    try {
      await expectFailedGroup(
        t,
        'mounted',
        (directory) => badGroup(directory, loop).replace('size = "64MiB"\n', ''),
        'LVR-E1111',
        12,
        /mnt|mounted/,
      );
    } finally {
      await mustRun('umount', [place]);
    }
    await mustRun('fsck.ext4', ['-fn', loop]);
  } finally {
    await mustRun('losetup', ['--detach', loop]);
  }
});

t.test('a full file system fails the group that needs it, and leaves no half-made log', { skip: needsRoot }, async (t) => {
  const image = workspace.file('full.img');
  const place = workspace.directory('full');
  await mustRun('truncate', ['-s', '12M', image]);
  await mustRun('mkfs.ext4', ['-q', image]);
  await mustRun('mount', ['-o', 'loop', image, place]);
  try {
    const log = `{ path = "${place}/bad.log", size = "16MiB" }`;
    await expectFailedGroup(
      t,
      'diskfull',
      (directory) => badGroup(directory, `${directory}/x.img`, log),
      'LVR-E1113',
      1,
      /bad\.log.*space/,
    );
    t.notOk(existsSync(`${place}/bad.log`), 'the log is not left behind');
  } finally {
    await mustRun('umount', [place]);
  }
});

/** CRC32C bit by bit: slow, independent of the product. */
function crc32c(pieces: readonly Buffer[]): number {
  let crc = 0xffffffff;
  for (const piece of pieces) {
    for (const byte of piece) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    }
  }
  return ~crc >>> 0;
}

/** Overwrites bytes of both superblock slots of a log; `seal` computes the checksum anew, as a newer version would have. */
function patchSuperblocks(path: string, offset: number, bytes: Buffer, seal: boolean): void {
  const log = readFileSync(path);
  const file = openSync(path, 'r+');
  for (const start of [0, 16384]) {
    const slot = Buffer.from(log.subarray(start, start + 16384));
    bytes.copy(slot, offset);
    if (seal) slot.writeUInt32LE(crc32c([slot.subarray(0, 12), slot.subarray(16)]), 12);
    writeSync(file, slot, 0, slot.length, start);
  }
  closeSync(file);
}

t.test(
  'a log of another group, site or volume, of a newer version, or without a valid superblock is refused and not touched',
  async (t) => {
    const owner = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '16MiB' }, logSize: '16MiB' }, 'origin');
    await owner.start();
    const client = await owner.connect('data');
    await client.write(0, Buffer.alloc(65536, 9));
    await client.flush();
    await client.close();
    await owner.stop();
    const four = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);
    const cases: readonly { name: string; id: string; edit: (text: string) => string; patch?: (log: string) => void; volume?: string }[] = [
      { name: 'othergroup', id: 'LVR-E1201', edit: (text) => text.replaceAll('groups.app', 'groups.bad') },
      { name: 'othersite', id: 'LVR-E1201', edit: (text) => text.replace('site = "a"', 'site = "z"') },
      { name: 'othervolume', id: 'LVR-E1201', edit: (text) => text.replace('volumes.data', 'volumes.other') },
      { name: 'newer', id: 'LVR-E1202', edit: (text) => text, patch: (log) => patchSuperblocks(log, 8, four(99), true) },
      { name: 'damaged', id: 'LVR-E1200', edit: (text) => text, patch: (log) => patchSuperblocks(log, 100, four(0xffffffff), false) },
    ];
    for (const { name, id, edit, patch } of cases) {
      const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '16MiB' }, logSize: '16MiB' }, name);
      for (const file of ['app.log', 'data.img'])
        await mustRun('cp', ['--sparse=always', `${owner.directory}/${file}`, `${agent.directory}/${file}`]);
      const log = `${agent.directory}/app.log`;
      patch?.(log);
      const before = [readFileSync(log), readFileSync(`${agent.directory}/data.img`)];
      writeFileSync(agent.configPath, edit(readFileSync(agent.configPath, 'utf8')));
      const group = name === 'othergroup' ? 'bad' : 'app';
      agent.spawn();
      await until(`${name} fails`, 20_000, async () => ((await agent.status(group))?.health === 'failed' ? true : undefined));
      const result = await agent.lvr('promote', group);
      t.equal(result.code, 4, `${name}: exit code`);
      t.match(result.stderr, new RegExp(`error\\[${id}\\]: .*app\\.log`), name);
      await agent.stop();
      t.ok(before[0]?.equals(readFileSync(log)), `${name}: the log is unchanged`);
      t.ok(before[1]?.equals(readFileSync(`${agent.directory}/data.img`)), `${name}: the volume is unchanged`);
    }
  },
);

/** Sends bytes to a port or socket and resolves when the other end has closed, or after `waitMs` with false. */
function throwAt(target: { port: number } | { path: string }, bytes: Buffer, waitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', ...target });
    const timer = setTimeout(() => {
      socket.destroy();
      resolve(false);
    }, waitMs);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(true);
    });
    socket.resume();
    socket.on('connect', () => socket.write(bytes));
  });
}

t.test('garbage on the NBD socket and on the replication port ends that connection only', { timeout: 120_000 }, async (t) => {
  const pair = await makePair(workspace, 'logged', { volumes: { data: '16MiB' }, logSize: '16MiB' }, 'garbage');
  await startPair(pair);
  const client = await pair.a.connect('data');
  const port = Number(/listen = "127\.0\.0\.1:(\d+)"/.exec(readFileSync(pair.a.configPath, 'utf8'))?.[1]);
  const noise = Buffer.alloc(65536, 0xa5);
  const zeroes = Buffer.alloc(65536);
  const web = Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.padEnd(4096, '\r\n'));
  for (const [name, bytes] of [
    ['noise', noise],
    ['zeroes', zeroes],
    ['a web request', web],
  ] as const) {
    t.ok(await throwAt({ path: pair.a.nbdSocket }, bytes, 15_000), `${name} to the NBD socket`);
    t.ok(await throwAt({ port }, bytes, 15_000), `${name} to the replication port`);
  }
  // Half a handshake, and half a write request: the client goes away in the middle.
  t.notOk(await throwAt({ path: pair.a.nbdSocket }, Buffer.from([0, 0, 0, 3]), 300), 'half a handshake');
  const half = await pair.a.connect('data');
  const frame = NbdClient.frame(4096);
  frame.fill(0xee, 28);
  half.send(1, 0, 0, 65536, frame, () => undefined);
  await sleep(100);
  half.destroy();
  t.same(await client.read(0, 65536), zeroes, 'half a write is no write');
  await client.write(0, noise);
  await client.flush();
  t.same(await client.read(0, 65536), noise, 'the first client goes on');
  await client.close();
  await pair.a.waitStatus('the site still streams', ({ sites }) => sites[0]?.replication === 'streaming');
  await Promise.all([pair.a.stop(), pair.b.stop()]);
});

t.test('a site of another group or with other volumes is refused, and both sides say why', { timeout: 60_000 }, async (t) => {
  for (const [name, edit] of [
    ['othername', (text: string) => text.replaceAll('groups.app', 'groups.bpp')],
    ['othersize', (text: string) => text.replace('size = "16MiB"\n', 'size = "32MiB"\n')],
  ] as const) {
    const pair = await makePair(workspace, 'async', { volumes: { data: '16MiB' }, logSize: '16MiB' }, name);
    writeFileSync(pair.b.configPath, edit(readFileSync(pair.b.configPath, 'utf8')));
    pair.b.spawn();
    await pair.a.start();
    const status = await pair.a.waitStatus('site b is refused', ({ sites }) => sites[0]?.session === 'refused');
    t.match(status.sites[0]?.reason, /\w/, `${name}: ${status.sites[0]?.reason}`);
    const client = await pair.a.connect('data');
    await client.write(0, Buffer.alloc(4096, 3));
    await client.flush();
    await client.close();
    await Promise.all([pair.a.stop(), pair.b.stop()]);
  }
});

t.test('an export that is not there is refused by name, and the secondary does not serve', { timeout: 60_000 }, async (t) => {
  const pair = await makePair(workspace, 'async', { volumes: { data: '16MiB' }, logSize: '16MiB' }, 'export');
  await startPair(pair);
  await t.rejects(NbdClient.connect(pair.a.nbdSocket, 'app/nosuch'), /refused \(6\).*/);
  await t.rejects(NbdClient.connect(pair.b.nbdSocket, 'app/data'), /refused.*secondary/);
  const result = await pair.a.lvr('promote', 'app');
  t.equal(result.code, 0, 'promoting a primary changes nothing');
  await Promise.all([pair.a.stop(), pair.b.stop()]);
});
