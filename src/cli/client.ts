// One question to the agent over its control socket, with a deadline, and one answer.

import { connect } from 'node:net';
import { parseResponse, RESPONSE_BYTES_MAX, VERB_MS, type Verb, type Verbs } from '../agent/control-protocol.js';
import { LvrError } from '../core/errors.js';

/** The control socket when neither --agent nor $LVR_AGENT names one. */
export const DEFAULT_AGENT = '/run/lvr/agent.sock';

/** A little longer than the agent's own deadline, so that its answer is the one that is seen. */
const ANSWER_MS = VERB_MS + 5_000;

/** Asks the agent at `path`. Throws AGENT_UNREACHABLE, PERMISSION, TIMEOUT, or the error of the agent. */
export async function askAgent<V extends Verb>(
  path: string,
  verb: V,
  args: Verbs[V]['args'],
  timeoutMs = ANSWER_MS,
): Promise<Verbs[V]['result']> {
  return parseResponse<V>(await exchange(path, `${JSON.stringify({ verb, args })}\n`, timeoutMs), path);
}

function exchange(path: string, request: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let answer = '';
    const end = (error: LvrError): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(
      () => end(new LvrError('TIMEOUT', `the agent on ${path} did not answer within ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write(request));
    socket.on('error', (error: NodeJS.ErrnoException) => end(unreachable(path, error)));
    socket.on('close', () => end(new LvrError('AGENT_UNREACHABLE', `the agent on ${path} closed the connection without an answer`)));
    socket.on('data', (text: string) => {
      answer += text;
      const newline = text.indexOf('\n');
      if (newline >= 0) {
        clearTimeout(timer);
        socket.removeAllListeners('close');
        socket.destroy();
        resolve(answer.slice(0, answer.indexOf('\n')));
      } else if (answer.length > RESPONSE_BYTES_MAX) {
        end(new LvrError('PROTOCOL', `the agent on ${path} answers more than ${RESPONSE_BYTES_MAX} bytes`));
      }
    });
  });
}

function unreachable(path: string, error: NodeJS.ErrnoException): LvrError {
  if (error.code === 'EACCES')
    return new LvrError('PERMISSION', `${path} may not be opened by this user`, { hint: 'run as root', cause: error });
  const why = error.code === 'ENOENT' ? 'there is no such socket' : error.code === 'ECONNREFUSED' ? 'nobody serves it' : error.message;
  return new LvrError('AGENT_UNREACHABLE', `no agent answers on ${path}: ${why}`, {
    hint: 'start lvrd --config FILE, or name its socket with --agent',
    cause: error,
  });
}
