// A primary and a secondary with a link of a chosen speed between them, and a log that is soon full: what tests of bitmaps and resyncs
// with real processes begin with.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentOptions, type SiteStatus, TestAgent } from './agent.js';
import { SlowLink } from './slow-link.js';
import { freePort, type Workspace } from './workspace.js';

export const MIB = 1048576;

export type SlowSites = { readonly a: TestAgent; readonly b: TestAgent; readonly link: SlowLink };

/**
 * The two agents, not started. `resync` is the content of [groups.app.resync], `environmentOfB` added to that of site b. The link is closed
 * with the workspace.
 */
export async function makeSlowSites(
  workspace: Workspace,
  options: Partial<AgentOptions>,
  resync: string,
  name: string,
  environmentOfB: AgentOptions['environment'] = {},
): Promise<SlowSites> {
  const [portA, portB] = await Promise.all([freePort(), freePort()]);
  const link = await SlowLink.to(portB);
  workspace.onDispose(() => link.close());
  const sitesOfA = { b: { address: link.address, mode: 'async' as const } };
  const sitesOfB = { a: { address: `127.0.0.1:${portA}`, mode: 'async' as const } };
  const listen = (port: number): string => `127.0.0.1:${port}`;
  const a = new TestAgent(workspace, { ...options, site: 'a', role: 'primary', listen: listen(portA), sites: sitesOfA }, `${name}a`);
  const optionsOfB = { ...options, environment: { ...options.environment, ...environmentOfB } };
  const b = new TestAgent(workspace, { ...optionsOfB, site: 'b', role: 'secondary', listen: listen(portB), sites: sitesOfB }, `${name}b`);
  for (const agent of [a, b]) agent.writeConfig(`[groups.app.resync]\n${resync}\n`);
  return { a, b, link };
}

/** Starts both; resolves when records flow. */
export async function startSlowSites({ a, b }: SlowSites): Promise<void> {
  b.spawn();
  await a.start();
  await a.waitStatus('site b streams', ({ sites }) => siteB(sites)?.replication === 'streaming');
}

export function siteB(sites: readonly SiteStatus[] | undefined): SiteStatus | undefined {
  return sites?.find(({ site }) => site === 'b');
}

/** How often an agent has printed an event. */
export function countEvents(agent: TestAgent, event: string): number {
  return agent.output().split(`"event":"${event}"`).length - 1;
}

/** Resolves when site b has applied all that was written and is tracked by the log. Nobody may write any more. */
export async function waitEqual({ a }: SlowSites, timeoutMs: number): Promise<void> {
  await a.waitStatus(
    'site b has everything',
    ({ log, sites }) => siteB(sites)?.tracking === 'log' && siteB(sites)?.appliedLsn === log.appendedLsn,
    timeoutMs,
  );
}

/** Names of the volumes that differ. Both agents have ended. */
export function differingVolumes({ a, b }: SlowSites, volumes: readonly string[]): string[] {
  const content = (agent: TestAgent, volume: string): Buffer => readFileSync(join(agent.directory, `${volume}.img`));
  return volumes.filter((volume) => !content(a, volume).equals(content(b, volume)));
}
