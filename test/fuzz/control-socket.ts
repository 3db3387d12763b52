// The control socket as it is served: requests in one piece or in many are answered alike and in order, too long ones are refused in
// either case, and afterwards the server answers the next one.

import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { ControlServer, type VerbHandlers } from '../../src/agent/control.js';
import { REQUEST_BYTES_MAX } from '../../src/agent/control-protocol.js';
import { LvrError } from '../../src/core/errors.js';
import type { Log } from '../../src/core/ports.js';
import { fuzz, judge } from './harness.js';
import { cuts, pieces } from './mutate.js';
import { arbitraryLine, lineOf } from './request-lines.js';

const directory = mkdtempSync(join(tmpdir(), 'lvr-fuzz-'));
const path = join(directory, 'agent.sock');
const log: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const refuse = async (): Promise<never> => {
  throw new LvrError('IN_USE', 'no');
};
let asked = 0;
const handlers: VerbHandlers = {
  status: refuse,
  attach: refuse,
  detach: async ({ target }) => ({ changed: true, target, device: '/dev/nbd0' }),
  promote: async ({ group }) => ({ changed: true, group, epoch: '1', warnings: [] }),
  'log-resize': async ({ group }) => ({ changed: false, group, sizeBytes: 0 }),
  demote: async ({ group }) => ({ changed: false, group, warnings: [] }),
  site: refuse,
  sync: refuse,
  'agent-stop': refuse,
  'agent-restart': refuse,
  version: async () => ({ version: '1', node: 'v', pid: ++asked, site: 's' }),
};
const server = new ControlServer(path, handlers, log);
t.before(() => server.listen());
t.teardown(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Says this in pieces of these sizes, and hears what is answered until all was, or the server closes. */
function talk(text: Buffer, sizes: readonly number[], answers: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let heard = '';
    const socket = connect(path, async () => {
      for (const [start, end] of pieces(text.length, sizes)) {
        if (socket.destroyed) return;
        socket.write(text.subarray(start, end));
        await new Promise((next) => setImmediate(next));
      }
    });
    const timer = setTimeout(() => reject(new Error(`oracle: ${answers} answers were due, heard ${heard.slice(0, 500)}`)), 10_000);
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(heard.split('\n').slice(0, -1));
    };
    socket.setEncoding('utf8').on('data', (piece: string) => {
      heard += piece;
      if (heard.split('\n').length > answers) done();
    });
    socket.on('close', done).on('error', () => undefined);
  });
}

fuzz(t, {
  name: 'control-socket',
  draw: fc.record({
    lines: fc.array(arbitraryLine, { minLength: 1, maxLength: 3 }),
    long: fc.oneof(
      { weight: 5, arbitrary: fc.constant(0) },
      fc.constantFrom(-1, 0, 1, 1000, 70_000).map((over) => REQUEST_BYTES_MAX + over),
    ),
    cuts,
  }),
  inputsPerCase: 2,
  expected: ['answered', 'too long'],
  probe: async ({ lines, long, cuts: sizes }, count) => {
    const texts = lines.map((line) => lineOf(line, false).replaceAll('\n', ' '));
    if (long > 0) texts.push('x'.repeat(long));
    const text = Buffer.from(`${texts.join('\n')}\n`);
    const tooLong = texts.findIndex((line) => line.length > REQUEST_BYTES_MAX);
    const due = tooLong < 0 ? texts.length : tooLong + 1;
    asked = 0;
    const whole = await talk(text, [text.length], due);
    asked = 0;
    const cut = await talk(
      text,
      sizes.map((size) => Math.max(size, Math.ceil(text.length / 50))),
      due,
    );
    judge(JSON.stringify(cut) === JSON.stringify(whole), `cut: ${cut.at(-1)} instead of ${whole.at(-1)}`);
    judge(whole.length === due, `${whole.length} answers to ${due} requests`);
    for (const line of whole) {
      const answer = JSON.parse(line) as { result?: object; error?: { code: string } };
      judge(answer.result !== undefined || ['USAGE', 'IN_USE'].includes(answer.error?.code ?? ''), `answered with ${line}`);
    }
    count(tooLong < 0 ? 'answered' : 'too long', 2);
  },
});
