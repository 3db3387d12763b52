// Lines of the control socket, in both directions: a request is taken only when verb and arguments are right, anything else is refused as
// USAGE; a line of the agent gives a result or an LvrError.

import fc from 'fast-check';
import t from 'tap';
import { parseRequest } from '../../src/agent/control.js';
import { parseResponse, toErrorDocument, VERB_ARGS, type Verb } from '../../src/agent/control-protocol.js';
import { LvrError } from '../../src/core/errors.js';
import { fuzz, judge } from './harness.js';
import { arbitraryLine, lineOf } from './request-lines.js';

function attempt<Value>(run: () => Value): Value | LvrError {
  try {
    return run();
  } catch (error) {
    if (error instanceof LvrError) return error;
    throw error;
  }
}

function kindOf(value: unknown): string {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? 'strings' : typeof value;
}

/** The rules of VERB_ARGS once more. */
function judgeRequest({ verb, args }: { verb: Verb; args: Record<string, unknown> }): void {
  judge(Object.keys(VERB_ARGS).includes(verb), `${verb} is a verb`);
  const types: Record<string, string> = VERB_ARGS[verb];
  for (const [name, value] of Object.entries(args)) judge(types[name]?.replace('?', '') === kindOf(value), `${verb} is given ${name}`);
  for (const [name, type] of Object.entries(types)) judge(type.endsWith('?') || Object.hasOwn(args, name), `${verb} lacks ${name}`);
}

fuzz(t, {
  name: 'control-request',
  draw: fc.record({ line: arbitraryLine, isResponse: fc.boolean() }),
  limitBytes: 1 << 20,
  expected: ['request', 'USAGE', 'result', 'PROTOCOL', 'BUSY'],
  probe: ({ line: drawn, isResponse }, count) => {
    const line = lineOf(drawn, isResponse);
    if (isResponse) {
      const got = attempt(() => parseResponse(line, '/run/x'));
      if (!(got instanceof LvrError)) judge(typeof got === 'object' && got !== null, 'a result is an object');
      else judge(toErrorDocument(got).id.startsWith('LVR-E') && Number.isInteger(got.exit), 'an error has id and exit code');
      const reported = got instanceof LvrError && got.code !== 'PROTOCOL' ? 'BUSY' : undefined;
      return count(reported ?? (got instanceof LvrError ? got.code : 'result'));
    }
    const got = attempt(() => parseRequest(line));
    if (got instanceof LvrError) {
      judge(got.code === 'USAGE' && got.message.length < 300, `refused as ${got.code} in ${got.message.length} characters`);
      judge(drawn.edits.length + drawn.mutations.length > 0, `a valid request is refused: ${got.message}`);
      return count(got.code);
    }
    judgeRequest(got);
    count('request');
  },
});
