#!/usr/bin/env node
// lvrd --config FILE: the agent as a process. Runs in the foreground until SIGTERM, SIGINT, SIGHUP (its terminal was closed) or
// `lvr agent stop`, then stops in order. What nobody expected ends the process at once (fail-stop); the log replays what was acknowledged.

import { parseArgs } from 'node:util';
import { EXIT, LvrError, messageOf } from '../core/errors.js';
import type { Log } from '../core/ports.js';
import { createEngines, type Engines } from '../disk/engine.js';
import { hasIoFlusher, notify, setIoFlusher } from '../disk/system.js';
import { Agent } from './agent.js';
import { type AgentConfig, loadConfig } from './config.js';
import { refuseLiveAgent } from './control.js';
import { withHooks } from './hooks.js';
import { createLog } from './logger.js';
import { realParts } from './parts.js';
import type { Legacy } from './ports.js';
import { claimStateDir } from './state-dir.js';
import { refuseOwnVolumes } from './storage.js';
import { awaitTurn, refuseTurn, SUCCESSOR_OPTION, Successor } from './succession.js';
import { VERSION } from './version.js';

/** An orderly stop that takes longer than this is given up. */
const STOP_MS = 45_000;
const SUMMARY_MS = 10_000;
/** How long a successor waits for the end of the agent before it. */
const PREDECESSOR_MS = 30_000;

async function main(): Promise<void> {
  const { file, isSuccessor } = commandLine();
  if (file === undefined) return;
  const config = loadConfig(file);
  const plainLog = createLog(config.agent.site, process.stderr.isTTY);
  const { site, hooks } = config.agent;
  const log = hooks === undefined ? plainLog : withHooks(plainLog, hooks, site);
  failStop(log);
  refuseOwnVolumes(config);
  // Loaded where it is needed, but not while clients wait for a successor.
  if (config.agent.metrics) await import('./metrics.js');
  claimMemory(log);
  const engines = createEngines();
  const legacy = isSuccessor ? await awaitTurn() : undefined;
  if (!isSuccessor) await refuseLiveAgent(config.agent.control);
  const claim = await claimStateDir(config.agent.stateDir, isSuccessor ? PREDECESSOR_MS : 0);
  log.info('starting', `lvrd ${VERSION}, site ${config.agent.site}`, { node: process.version, uuid: claim.uuid, config: file });
  if (config.agent.insecure) log.warn('insecure', 'links between sites are plain TCP (insecure = true)');
  await runAgent(config, log, claim, engines, legacy);
}

/** What the command line says; no `file` when --help or --version was answered instead. */
function commandLine(): { file: string | undefined; isSuccessor: boolean } {
  const usage = 'usage: lvrd --config FILE';
  let values: { config?: string; help?: boolean; version?: boolean; successor?: boolean };
  try {
    ({ values } = parseArgs({
      options: {
        config: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
        [SUCCESSOR_OPTION]: { type: 'boolean' },
      },
    }));
  } catch (error) {
    throw new LvrError('USAGE', messageOf(error), { hint: usage });
  }
  if (values.help || values.version) {
    process.stdout.write(values.help ? `${usage}\n` : `lvrd ${VERSION}\n`);
    return { file: undefined, isSuccessor: false };
  }
  if (values.config === undefined) throw new LvrError('USAGE', 'no configuration file was named', { hint: usage });
  return { file: values.config, isSuccessor: values.successor === true };
}

/** What claimStateDir() gave. */
type Claim = { readonly uuid: string; release(): void };

/** Runs until the process ends; returns when the agent has started. */
async function runAgent(config: AgentConfig, log: Log, claim: Claim, engines: Engines, legacy: Legacy | undefined): Promise<void> {
  let stopping = false;
  const end = (reason: string, work: () => Promise<void>): void => {
    if (stopping) {
      log.error('stop-forced', `${reason} while stopping: ending at once`);
      process.exit(EXIT.failed);
    }
    stopping = true;
    log.info('stopping', reason);
    setTimeout(() => {
      log.error('stop-late', `not stopped within ${STOP_MS / 1000} s: ending at once`);
      process.exit(EXIT.failed);
    }, STOP_MS).unref();
    // What was not started yet is started first: a stop in the middle of a start has no order of its own.
    void started.then(work).then(() => {
      log.info('stopped', 'everything is on disk');
      process.exit(EXIT.ok);
    });
  };
  const stop = (reason: string): void => {
    if (!stopping) tellManager(log, 'STOPPING=1');
    end(reason, () => agent.stop());
  };
  const giveWay = (successor: Successor): void => {
    end(`agent ${successor.pid} goes on`, async () => {
      await agent.giveWay({
        give: (sockets) => successor.give(sockets),
        // Nothing is open any more: it need not wait until this process has been taken apart.
        go: (ends) => {
          claim.release();
          return successor.go(ends);
        },
      });
      if (!successor.isAlive) {
        log.error('successor-lost', `agent ${successor.pid} has ended; this one has given way and cannot go on`);
        process.exit(EXIT.failed);
      }
      tellManager(log, `MAINPID=${successor.pid}`);
    });
  };
  const parts = realParts(config, log, { uuid: claim.uuid, engines, legacy: legacy ?? { sockets: [], ends: {} } });
  const agent = new Agent(config, parts, {
    stop: () => stop('asked to by lvr agent stop'),
    startSuccessor: () => Successor.start(),
    giveWay,
    takesOver: legacy !== undefined,
  });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
  const started = agent.start();
  await started;
  log.info('ready', agent.summary());
  tellManager(log, `READY=1\nSTATUS=${agent.summary()}`);
  setInterval(() => tellManager(log, `STATUS=${agent.summary()}`), SUMMARY_MS).unref();
}

function tellManager(log: Log, state: string): void {
  try {
    notify(state);
  } catch (error) {
    log.warn('notify-failed', `the service manager cannot be told: ${messageOf(error)}`);
  }
}

/** Memory for this process must never wait for writeback to a device that this process serves. */
function claimMemory(log: Log): void {
  // lvr-launch did it for all threads; here it is only for those that are started from now on.
  if (hasIoFlusher()) return;
  try {
    setIoFlusher();
  } catch (error) {
    log.warn('io-flusher', `PR_SET_IO_FLUSHER is not available (${messageOf(error)}); under memory pressure local devices may stall`);
  }
}

/** A broken invariant or an error that nobody handles: say so and end, before anything else is acknowledged. */
function failStop(log: Log): void {
  const end = (event: string, error: unknown): never => {
    log.error(event, error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(EXIT.failed);
  };
  process.on('uncaughtException', (error) => end('uncaught-exception', error));
  process.on('unhandledRejection', (reason) => end('unhandled-rejection', reason));
}

main().catch((error: unknown) => {
  refuseTurn(messageOf(error));
  if (!(error instanceof LvrError)) {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(EXIT.failed);
  }
  const hint = error.hint === undefined ? '' : `  try: ${error.hint}\n`;
  process.stderr.write(`error[${error.id}]: ${error.message}\n${hint}`);
  process.exit(error.exit);
});
