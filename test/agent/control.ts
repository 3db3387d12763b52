// agent/control.ts: requests on the control socket are bounded, checked and answered in order; sockets of dead agents are replaced.

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ControlServer, parseRequest, refuseLiveAgent, type VerbHandlers } from '../../src/agent/control.js';
import { fromErrorDocument, parseResponse, REQUEST_BYTES_MAX, toErrorDocument } from '../../src/agent/control-protocol.js';
import { askAgent } from '../../src/cli/client.js';
import { LvrError } from '../../src/core/errors.js';
import type { Log } from '../../src/core/ports.js';

const dir = mkdtempSync(join(tmpdir(), 'lvr-control-'));
t.teardown(() => rmSync(dir, { recursive: true, force: true }));

const notes: Record<string, unknown>[] = [];
const log: Log = { info: (_event, _message, fields = {}) => void notes.push(fields), warn: () => undefined, error: () => undefined };

const refuse = async (): Promise<never> => {
  throw new LvrError('IN_USE', 'no', { hint: 'wait', details: { holders: ['me'] } });
};
const handlers: VerbHandlers = {
  status: async () => {
    throw new Error('not used here');
  },
  attach: refuse,
  detach: async ({ target }) => ({ changed: true, target, device: '/dev/loop9' }),
  promote: async () => {
    throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE', syscall: 'open' });
  },
  demote: async ({ group }) => ({ changed: false, group, warnings: [] }),
  site: refuse,
  sync: refuse,
  'log-resize': async ({ group }) => ({ changed: false, group, sizeBytes: 0 }),
  'agent-stop': refuse,
  'agent-restart': refuse,
  version: async () => ({ version: '1', node: 'v', pid: 1, site: 's' }),
};

async function withServer(name: string, use: (path: string) => Promise<void>): Promise<void> {
  const path = join(dir, name, 'agent.sock');
  const server = new ControlServer(path, handlers, log);
  await server.listen();
  try {
    await use(path);
  } finally {
    await server.close();
  }
  t.notOk(existsSync(path), 'the socket is removed');
}

/** Sends raw text and collects lines until `count` of them came or the server closed. */
function rawExchange(path: string, text: string, count: number): Promise<string[]> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.write(text));
    let got = '';
    const done = (): void => {
      socket.destroy();
      resolve(got.split('\n').filter(Boolean));
    };
    socket.setEncoding('utf8').on('data', (part: string) => {
      got += part;
      if (got.split('\n').length > count) done();
    });
    socket.on('close', done).on('error', done);
  });
}

t.test('a verb is answered, and errors arrive with code, hint and details', async (t) => {
  await withServer('verbs', async (path) => {
    t.equal(statSync(path).mode & 0o777, 0o660, 'socket mode');
    t.equal(statSync(join(path, '..')).mode & 0o777, 0o750, 'directory mode');
    t.same(await askAgent(path, 'demote', { group: 'app' }), { changed: false, group: 'app', warnings: [] });
    await t.rejects(askAgent(path, 'attach', { target: 'a/b' }), {
      code: 'IN_USE',
      message: 'no',
      hint: 'wait',
      details: { holders: ['me'] },
    });
  });
});

t.test('what the system refuses a verb is an answer; the agent goes on', async (t) => {
  await withServer('system', async (path) => {
    await t.rejects(askAgent(path, 'promote', { group: 'app', force: false }), { code: 'FAILED', message: /EMFILE/ });
    t.equal((await askAgent(path, 'version', {})).version, '1');
  });
});

t.test('who asked for a change is logged with uid and pid', async (t) => {
  notes.length = 0;
  await withServer('caller', async (path) => {
    await askAgent(path, 'version', {});
    t.same(notes, [], 'questions are not logged');
    await askAgent(path, 'detach', { target: 'a/b' });
    t.match(notes, [{ verb: 'detach', args: { target: 'a/b' }, callerPid: process.pid, callerUid: process.getuid?.() }]);
  });
});

t.test('several requests on one connection are answered in order', async (t) => {
  await withServer('order', async (path) => {
    const line = (group: string): string => `${JSON.stringify({ verb: 'demote', args: { group } })}\n`;
    const answers = await rawExchange(path, line('one') + line('two') + line('three'), 3);
    t.same(
      answers.map((answer) => JSON.parse(answer).result.group),
      ['one', 'two', 'three'],
    );
  });
});

t.test('garbage and oversized requests are refused, and the server goes on', async (t) => {
  await withServer('garbage', async (path) => {
    const [garbage] = await rawExchange(path, '\u0000\u0001 GET / HTTP/1.1\n', 1);
    t.match(JSON.parse(garbage ?? ''), { error: { code: 'USAGE', message: /not JSON/, exit: 2 } });
    const [long] = await rawExchange(path, 'x'.repeat(REQUEST_BYTES_MAX + 1), 1);
    t.match(JSON.parse(long ?? ''), { error: { code: 'USAGE', message: /longer than/ } });
    t.equal((await askAgent(path, 'version', {})).version, '1');
  });
});

t.test('a request that is too long is refused whether its end has arrived or not', async (t) => {
  await withServer('long', async (path) => {
    const version = '{"verb":"version"}\n';
    for (const over of ['x'.repeat(REQUEST_BYTES_MAX + 1), 'x'.repeat(3 * REQUEST_BYTES_MAX)]) {
      const answers = await rawExchange(path, `${version}${over}\n${version}`, 3);
      t.equal(answers.length, 2, 'nothing behind it is answered');
      t.match(JSON.parse(answers[1] ?? ''), { error: { code: 'USAGE', message: /longer than/ } });
    }
  });
});

t.test('what is no answer of an agent is an error of its own, not a defect of the client', async (t) => {
  const lines = ['', 'null', '1', '[]', '{}', '{"result":null}', '{"error":null}', '{"error":{}}', '{"error":{"message":1}}', '<html>'];
  for (const line of lines) t.throws(() => parseResponse(line, '/run/x'), { code: 'PROTOCOL' }, line);
  t.throws(() => parseResponse('{"error":{"code":"toString","message":"m","details":null,"hint":1}}', '/run/x'), { code: 'FAILED' });
  t.same(parseResponse('{"result":{"a":1}}', '/run/x'), { a: 1 });
});

t.test('requests are checked: verb, argument names and types', async (t) => {
  t.same(parseRequest('{"verb":"status"}'), { verb: 'status', args: {} });
  t.same(parseRequest('{"verb":"promote","args":{"group":"g","force":true}}').args, { group: 'g', force: true });
  const rows: [string, RegExp][] = [
    ['null', /unknown verb/],
    ['{"verb":"fly"}', /unknown verb "fly"/],
    ['{"verb":"constructor"}', /unknown verb/],
    [`{"verb":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, /names its verb as a text/],
    ['{"verb":"status","args":[]}', /args of status must be an object/],
    ['{"verb":"status","args":{"groop":"g"}}', /status takes no argument groop/],
    ['{"verb":"status","args":{"group":1}}', /status needs group/],
    ['{"verb":"promote","args":{"group":"g"}}', /promote needs force/],
  ];
  for (const [line, message] of rows) t.throws(() => parseRequest(line), { code: 'USAGE', message }, line.slice(0, 80));
});

t.test('a socket without an agent is no obstacle, a served one names its pid', async (t) => {
  await refuseLiveAgent(join(dir, 'none.sock'));
  writeFileSync(join(dir, 'file'), '');
  await refuseLiveAgent(join(dir, 'file'));
  await withServer('live', async (path) => {
    await t.rejects(refuseLiveAgent(path), { code: 'IN_USE', exit: 12, message: new RegExp(`pid ${process.pid}`) });
  });
});

t.test('the client names why no agent answers', async (t) => {
  await t.rejects(askAgent(join(dir, 'none.sock'), 'version', {}), { code: 'AGENT_UNREACHABLE', exit: 7, message: /no such socket/ });
  writeFileSync(join(dir, 'dead'), '');
  await t.rejects(askAgent(join(dir, 'dead'), 'version', {}), { code: 'AGENT_UNREACHABLE', message: /nobody serves it/ });
});

t.test('an error keeps its meaning over the wire, also one this version does not know', async (t) => {
  const error = new LvrError('IN_USE', 'm', { hint: 'h', details: { a: 1 } });
  t.match(fromErrorDocument(JSON.parse(JSON.stringify(toErrorDocument(error)))), {
    code: 'IN_USE',
    message: 'm',
    hint: 'h',
    details: { a: 1 },
  });
  const unknown = { ...toErrorDocument(error), code: 'NEW_IN_9' } as unknown as ReturnType<typeof toErrorDocument>;
  t.equal(fromErrorDocument(unknown).code, 'FAILED');
});

t.test('what stands in the place of the socket and is none stays, and the agent says so', async (t) => {
  const path = join(dir, 'data.img');
  writeFileSync(path, 'a volume');
  const server = new ControlServer(path, handlers, log);
  await t.rejects(server.listen(), { code: 'FAILED', message: /data\.img cannot be opened/ });
  await server.close();
  t.equal(existsSync(path) && readFileSync(path, 'utf8'), 'a volume');
});
