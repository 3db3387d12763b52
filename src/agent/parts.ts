// The real parts of an agent: groups on disk, TCP, the NBD server, attachments. What is here only joins rooms together; decisions are
// made in agent.ts and in the rooms.

import { randomUUID } from 'node:crypto';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { Attachments } from '../attach/attachments.js';
import { FuseAttacher } from '../attach/fuse.js';
import { KernelAttacher } from '../attach/kernel.js';
import { binding } from '../attach/native.js';
import { NbdSysfs } from '../attach/nbd-sysfs.js';
import { NbdNetlink } from '../attach/netlink.js';
import type { HandedSocket, KernelServer } from '../attach/ports.js';
import { assert } from '../core/assert.js';
import { LvrError, messageOf } from '../core/errors.js';
import { groupPayloadBytes } from '../core/limits.js';
import type { Backend, Log } from '../core/ports.js';
import { ResyncTurns } from '../core/resync-turns.js';
import type { Engines } from '../disk/engine.js';
import { crc32c, crc32cSpans, createArena } from '../disk/memory.js';
import { readSocket } from '../disk/socket-reader.js';
import { sendSocket } from '../disk/socket-sender.js';
import { hungUp, lockMemory } from '../disk/system.js';
import { Group } from '../group/group.js';
import { openGroup } from '../group/open.js';
import { SiteVerbs } from '../group/site-verbs.js';
import { Listener } from '../link/listener.js';
import { tcpNetwork } from '../link/tcp.js';
import { type NbdEvent, NbdServer } from '../nbd/server.js';
import { identityOf } from './attached.js';
import { realClock } from './clock.js';
import type { AgentConfig } from './config.js';
import { type Address, formatAddress, type NbdListen } from './config-values.js';
import { Pauses } from './pauses.js';
import type { AgentGroup, AgentParts, Legacy, LinkService, NbdService } from './ports.js';
import { replaceFile } from './state-dir.js';

/** Requests of the kernel have this long to end when its sockets are handed to a successor. */
const HAND_OVER_MS = 3_000;
const LOCK_MEMORY_MS = 1_000;
const NBD_SOCKET_MODE = 0o660;

/** What parts are made of: the agent's identity, who does its I/O, and what comes from the agent before this one. */
export type Ingredients = { readonly uuid: string; readonly engines: Engines; readonly legacy: Legacy };

/** Makes the parts; opens nothing. */
export function realParts(config: AgentConfig, log: Log, { uuid, engines, legacy }: Ingredients): AgentParts {
  const { site, stateDir, insecure, resyncParallel } = config.agent;
  const served: Served = { server: undefined, groups: () => [], isMemoryLocked: false };
  const kernel = new KernelAttacher(
    { control: new NbdNetlink(binding), sysfs: new NbdSysfs(), sockets: binding, server: kernelServer(served, uuid, log), log },
    legacy.sockets,
  );
  const clock = realClock;
  const memory = { createArena, crc32c, crc32cSpans, newUuid: () => randomUUID().replaceAll('-', '') };
  const resyncTurns = new ResyncTurns(resyncParallel);
  const env = {
    site,
    stateDir,
    insecure,
    clock,
    engines,
    network: tcpNetwork,
    memory,
    payloadBytes: groupPayloadBytes(totalmem()),
    log,
    random: Math.random,
    resyncTurns,
  };
  return {
    clock,
    log,
    agentUuid: uuid,
    openGroup: async (groupConfig, onFailed) => {
      const group = await openGroup(groupConfig, env, legacy.ends[groupConfig.name]);
      group.onFailed = onFailed;
      return group;
    },
    startNbd: (listen, groups) => startNbd(listen, groups, log, served, kernel),
    startLinks: (listen, groups, hasFailed) => startLinks(listen, { groups, hasFailed }, config, log),
    shipCounters: (group, to) => {
      assert(group instanceof Group, 'the agent made this group here');
      const counters = group.linkFor(to)?.counters;
      return counters && { bytes: counters.sentBytes, records: counters.sentRecords };
    },
    siteVerbs: (group) => {
      assert(group instanceof Group, 'the agent made this group here');
      return new SiteVerbs(group);
    },
    pauses: new Pauses(stateDir),
    attach: new Attachments(stateDir, [kernel, new FuseAttacher(join(stateDir, 'attach'))], replaceFile, log),
  };
}

/** The NBD server once it runs, as the kernel's client sees it. */
type Served = { server: NbdServer | undefined; groups: () => Iterable<AgentGroup>; isMemoryLocked: boolean };

function kernelServer(served: Served, agentUuid: string, log: Log): KernelServer {
  const running = (target: string): NbdServer => {
    if (served.server === undefined) throw new LvrError('ROLE', `${target} cannot be served: the agent is starting`);
    return served.server;
  };
  return {
    flags: (target) => running(target).kernelFlags(target),
    identity: (target) => {
      running(target);
      const group = findGroup(served.groups(), target);
      const { role, health } = group?.status() ?? {};
      if (group !== undefined && role === 'primary' && health !== 'failed') return identityOf(group, target, agentUuid);
      const why = findBackend(served.groups(), target)?.unavailable ?? 'there is no such volume';
      throw new LvrError('ROLE', `${target} cannot be served: ${why}`, { hint: 'its users wait; lvr status says what its group is' });
    },
    serve: (target, fd, received, client) => {
      running(target).serveKernel(target, fd, { received, isHungUp: () => hungUp(fd) }, client);
      // Not now: somebody waits for this device.
      if (!served.isMemoryLocked) realClock.after(LOCK_MEMORY_MS, () => lockMemoryOnce(served, log));
    },
    check: () => served.server?.checkKernel(),
  };
}

/** From the first device on, what answers it must not have to be read from a disk first. */
function lockMemoryOnce(served: Served, log: Log): void {
  if (served.isMemoryLocked) return;
  served.isMemoryLocked = true;
  try {
    lockMemory();
  } catch (error) {
    log.warn('memory-not-locked', `program and buffers cannot be locked in memory (${messageOf(error)}); see LimitMEMLOCK`);
  }
}

async function startNbd(
  listen: readonly NbdListen[],
  groups: () => Iterable<AgentGroup>,
  log: Log,
  served: Served,
  kernel: KernelAttacher,
): Promise<NbdService> {
  const server = new NbdServer({
    exports: { lookup: (name) => findBackend(groups(), name), list: () => [...groups()].flatMap((group) => [...group.backends.values()]) },
    clock: realClock,
    readSocket,
    sendSocket,
    onEvent: (event) => logNbdEvent(log, event),
  });
  const addresses: string[] = [];
  try {
    for (const entry of listen) {
      const bound = await server.listen(entry.kind === 'unix' ? { ...entry, mode: NBD_SOCKET_MODE } : entry);
      addresses.push(bound.kind === 'unix' ? `unix:${bound.path}` : `tcp:${formatAddress(bound)}`);
    }
  } catch (error) {
    await server.stop(0);
    throw error;
  }
  served.server = server;
  served.groups = groups;
  return {
    addresses,
    counters: (exportName) => {
      const { read, write, flush, trim, zero, blockStatus } = server.metrics.ofExport(exportName);
      return [read, write, flush, trim, zero, blockStatus].map(({ name, completed, failed, bytes }) => ({
        op: name,
        completed,
        failed,
        bytes,
      }));
    },
    get connections() {
      return server.metrics.connections;
    },
    handOver: async () => {
      const handed: HandedSocket[] = [];
      await server.handOverKernel((client, fd, received) => {
        const device = kernel.deviceOf(client);
        if (device !== undefined) handed.push({ device, fd, received });
      }, HAND_OVER_MS);
      return handed;
    },
    stop: (deadlineMs) => server.stop(deadlineMs),
  };
}

function findGroup(groups: Iterable<AgentGroup>, name: string): AgentGroup | undefined {
  const slash = name.indexOf('/');
  if (slash < 0) return undefined;
  for (const group of groups) if (group.name === name.slice(0, slash)) return group;
  return undefined;
}

/** The volume of an export name, `group/volume`. */
export function findBackend(groups: Iterable<AgentGroup>, name: string): Backend | undefined {
  return findGroup(groups, name)?.backends.get(name.slice(name.indexOf('/') + 1));
}

function logNbdEvent(log: Log, { kind, id, peer, exportName, reason }: NbdEvent): void {
  const fields = { client: id, peer, export: exportName ?? '' };
  if (kind === 'opened') log.info('nbd-opened', `${peer} opened ${exportName ?? ''}`, fields);
  else if (kind === 'closed') log.info('nbd-closed', `${peer} is gone: ${reason}`, fields);
  else log.warn('nbd-refused', `${peer} was refused: ${reason}`, fields);
}

/** The groups that other sites may ask for. */
type LinkedGroups = { groups: () => Iterable<AgentGroup>; hasFailed: (group: string) => boolean };

async function startLinks(listen: Address, { groups, hasFailed }: LinkedGroups, config: AgentConfig, log: Log): Promise<LinkService> {
  const { site, insecure } = config.agent;
  const lookup = (name: string): Group | undefined => {
    for (const group of groups()) if (group.name === name && group instanceof Group) return group;
    return undefined;
  };
  const listener = new Listener({ network: tcpNetwork, clock: realClock, log, site, insecure, lookup, hasFailed });
  try {
    const port = await listener.start(listen.host, listen.port);
    return { address: formatAddress({ host: listen.host, port }), stop: () => listener.close() };
  } catch (error) {
    throw new LvrError('FAILED', `cannot listen for other sites on ${formatAddress(listen)}: ${messageOf(error)}`, {
      hint: 'is another agent running with the same agent.listen?',
      cause: error,
    });
  }
}
