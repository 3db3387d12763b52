// Prometheus text at http://ADDRESS/metrics. Every value is taken at scrape time from the status snapshot and from plain counters of the
// data path; nothing is observed per I/O. Metric names and labels are an interface: they are only added to.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { LvrError, messageOf } from '../core/errors.js';
import { FALL_BEHIND_ACTIONS, FALL_BEHIND_LIMITS, limitKey } from '../core/fall-behind.js';
import type { GroupStatus, SiteStatus } from '../core/status.js';
import { type Address, formatAddress } from './config-values.js';
import type { StatusDocument } from './control-protocol.js';
import type { CommandCounters, ShipCounters } from './ports.js';
import { VERSION } from './version.js';

const CONNECTIONS_MAX = 16;
const IMAGES = ['upToDate', 'consistent', 'outdated', 'inconsistent', 'failed'] as const;
const REQUEST_MS = 5_000;
/** Gauges of the client library whose names end like counters'; promtool refuses them. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** Where the numbers come from. */
export type MetricsSource = {
  status(): StatusDocument;
  nbdCounters(exportName: string): readonly CommandCounters[];
  nbdConnections(): number;
  shipCounters(group: string, site: string): ShipCounters | undefined;
};

/** Answers scrapes until closed. */
export class MetricsServer {
  readonly #source: MetricsSource;
  readonly #registry = new Registry();
  readonly #gauges = new Map<string, Gauge>();
  readonly #counters = new Map<string, Counter>();
  readonly #server: Server;
  #address = '';

  constructor(source: MetricsSource) {
    this.#source = source;
    collectDefaultMetrics({ register: this.#registry });
    for (const name of MISNAMED) this.#registry.removeSingleMetric(name);
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.headersTimeout = REQUEST_MS;
    this.#server.requestTimeout = REQUEST_MS;
    this.#declare();
  }

  /** host:port really listened on. */
  get address(): string {
    return this.#address;
  }

  /** Throws FAILED when the address cannot be used. */
  async listen(address: Address): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(address.port, address.host, resolve);
    }).catch((error: unknown) => {
      throw new LvrError('FAILED', `metrics cannot listen on ${formatAddress(address)}: ${messageOf(error)}`, { cause: error });
    });
    const bound = this.#server.address();
    if (typeof bound === 'object' && bound) this.#address = formatAddress({ host: address.host, port: bound.port });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** The text of one scrape. */
  async text(): Promise<string> {
    this.#update();
    return await this.#registry.metrics();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url?.split('?')[0] !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('see /metrics\n');
      return;
    }
    const text = await this.text();
    response.writeHead(200, { 'content-type': this.#registry.contentType }).end(text);
  }

  #declare(): void {
    const group = ['group'];
    const site = ['group', 'site'];
    const command = ['group', 'volume', 'op'];
    this.#gauge('lvr_build_info', 'Version of lvr and of Node; always 1.', ['version', 'node']);
    this.#gauge('lvr_volume_info', 'Attached device of a volume; always 1.', ['group', 'volume', 'device']);
    this.#gauge('lvr_group_role', 'Role of the group at this site (1: is).', ['group', 'state']);
    this.#gauge('lvr_group_health', 'Health of the group at this site (1: is).', ['group', 'state']);
    this.#gauge('lvr_group_image', 'What the volumes of the group at this site are an image of (1: is).', ['group', 'state']);
    this.#gauge('lvr_volume_size_bytes', 'Size of a volume.', ['group', 'volume']);
    this.#gauge('lvr_nbd_connections', 'Open NBD connections.', []);
    this.#counter('lvr_nbd_requests_total', 'NBD commands that succeeded.', command);
    this.#counter('lvr_nbd_errors_total', 'NBD commands answered with an error.', command);
    this.#counter('lvr_nbd_bytes_total', 'Bytes of NBD commands that succeeded.', command);
    this.#counter('lvr_remote_reads_total', 'Pieces of a volume read from another site because the device failed.', ['group', 'volume']);
    this.#gauge('lvr_log_size_bytes', 'Size of the log.', group);
    this.#gauge('lvr_log_used_bytes', 'Log space that cannot be reused yet.', group);
    for (const position of ['appended', 'durable', 'applied', 'trimmed']) {
      this.#gauge(`lvr_log_${position}_lsn`, `Last LSN that is ${position}.`, group);
    }
    this.#gauge('lvr_repl_connected', 'Whether the session with a site is up.', site);
    this.#gauge('lvr_repl_lag_bytes', 'Bytes not known durable at a site.', site);
    this.#gauge('lvr_repl_lag_writes', 'Writes not known durable at a site.', site);
    this.#gauge('lvr_repl_lag_seconds', 'Age of the oldest write not known durable at a site; 0 when there is none.', site);
    this.#gauge('lvr_dirty_bytes', 'Bytes that a site lacks according to its bitmap.', site);
    this.#gauge('lvr_resync_progress_ratio', 'Part of a resync that is done; absent when none is under way.', site);
    this.#gauge('lvr_resync_remaining_bytes', 'Bytes that a resync still has to copy; absent when none is under way.', site);
    this.#gauge('lvr_resync_eta_seconds', 'Until a resync ends; absent while there is no estimate.', site);
    this.#counter('lvr_resync_bytes_total', 'Bytes copied to a site by resyncs.', site);
    this.#counter('lvr_resync_compared_bytes_total', 'Bytes that a site was asked about before they were sent.', site);
    this.#counter('lvr_resync_same_bytes_total', 'Bytes that a site had already and that were not sent.', site);
    this.#gauge('lvr_log_full_eta_seconds', 'Until the log is full of what a site lacks; absent when that is not in sight.', site);
    this.#gauge('lvr_repl_limit_crossed', 'Whether a site is further behind than a limit (1: is).', [...site, 'limit']);
    this.#gauge('lvr_repl_limit_action', 'What is done about a site that is too far behind (1: is).', [...site, 'state']);
    this.#counter('lvr_nbd_throttled_seconds_total', 'Time for which writers waited.', ['group', 'reason']);
    this.#gauge('lvr_repl_acked_lsn', 'Last LSN known durable at a site.', site);
    this.#counter('lvr_repl_sent_bytes_total', 'Record bytes sent to a site.', site);
    this.#counter('lvr_repl_sent_writes_total', 'Records sent to a site.', site);
  }

  #gauge(name: string, help: string, labelNames: string[]): void {
    this.#gauges.set(name, new Gauge({ name, help, labelNames, registers: [this.#registry] }));
  }

  #counter(name: string, help: string, labelNames: string[]): void {
    this.#counters.set(name, new Counter({ name, help, labelNames, registers: [this.#registry] }));
  }

  #set(name: string, labels: Record<string, string>, value: number): void {
    this.#gauges.get(name)?.set(labels, value);
  }

  /** Counters of the client library can only grow by a difference; they were reset at the start of the scrape. */
  #count(name: string, labels: Record<string, string>, value: number): void {
    this.#counters.get(name)?.inc(labels, value);
  }

  #update(): void {
    for (const metric of this.#gauges.values()) metric.reset();
    for (const metric of this.#counters.values()) metric.reset();
    this.#set('lvr_build_info', { version: VERSION, node: process.version }, 1);
    this.#set('lvr_nbd_connections', {}, this.#source.nbdConnections());
    for (const item of this.#source.status().items) this.#updateGroup(item);
  }

  #updateGroup(item: GroupStatus): void {
    const { group, log } = item;
    for (const state of ['primary', 'secondary']) this.#set('lvr_group_role', { group, state }, state === item.role ? 1 : 0);
    for (const state of ['healthy', 'degraded', 'failed']) this.#set('lvr_group_health', { group, state }, state === item.health ? 1 : 0);
    for (const state of IMAGES) this.#set('lvr_group_image', { group, state }, state === item.image ? 1 : 0);
    this.#set('lvr_log_size_bytes', { group }, log.sizeBytes);
    this.#set('lvr_log_used_bytes', { group }, log.usedBytes);
    this.#set('lvr_log_appended_lsn', { group }, Number(log.appendedLsn));
    this.#set('lvr_log_durable_lsn', { group }, Number(log.durableLsn));
    this.#set('lvr_log_applied_lsn', { group }, Number(log.appliedLsn));
    this.#set('lvr_log_trimmed_lsn', { group }, Number(log.trimmedLsn));
    this.#count('lvr_nbd_throttled_seconds_total', { group, reason: 'congestion' }, item.throttledSeconds);
    for (const { volume, sizeBytes, attached, remoteReads, export: exportName } of item.volumes) {
      this.#set('lvr_volume_size_bytes', { group, volume }, sizeBytes);
      this.#count('lvr_remote_reads_total', { group, volume }, remoteReads);
      if (attached !== '') this.#set('lvr_volume_info', { group, volume, device: attached }, 1);
      for (const { op, completed, failed, bytes } of this.#source.nbdCounters(exportName)) {
        this.#count('lvr_nbd_requests_total', { group, volume, op }, completed);
        this.#count('lvr_nbd_errors_total', { group, volume, op }, failed);
        this.#count('lvr_nbd_bytes_total', { group, volume, op }, bytes);
      }
    }
    for (const status of item.sites) this.#updateSite(group, status, item.role === 'unknown');
  }

  #updateSite(group: string, status: SiteStatus, isUnknown: boolean): void {
    const labels = { group, site: status.site };
    this.#set('lvr_repl_connected', labels, status.session === 'connected' ? 1 : 0);
    if (isUnknown) return;
    this.#set('lvr_repl_lag_bytes', labels, status.lagBytes);
    this.#set('lvr_repl_lag_writes', labels, status.lagIos);
    this.#set('lvr_repl_lag_seconds', labels, status.lagSeconds);
    this.#set('lvr_repl_acked_lsn', labels, Number(status.ackedLsn));
    this.#updateResync(labels, status);
    for (const name of FALL_BEHIND_LIMITS) {
      const limit = limitKey(name);
      this.#set('lvr_repl_limit_crossed', { ...labels, limit }, status.limits.crossed.includes(limit) ? 1 : 0);
    }
    for (const state of FALL_BEHIND_ACTIONS) {
      this.#set('lvr_repl_limit_action', { ...labels, state }, status.limits.action === state ? 1 : 0);
    }
    const sent = this.#source.shipCounters(group, status.site);
    if (!sent) return;
    this.#count('lvr_repl_sent_bytes_total', labels, sent.bytes);
    this.#count('lvr_repl_sent_writes_total', labels, sent.records);
  }

  #updateResync(labels: Record<string, string>, status: SiteStatus): void {
    const { dirtyBytes, resync, resyncedBytes, logFullEtaSeconds } = status;
    this.#set('lvr_dirty_bytes', labels, dirtyBytes);
    this.#count('lvr_resync_bytes_total', labels, resyncedBytes);
    this.#count('lvr_resync_compared_bytes_total', labels, status.resyncComparedBytes);
    this.#count('lvr_resync_same_bytes_total', labels, status.resyncSameBytes);
    if (logFullEtaSeconds !== null) this.#set('lvr_log_full_eta_seconds', labels, logFullEtaSeconds);
    if (resync === null) return;
    this.#set('lvr_resync_progress_ratio', labels, resync.percent / 100);
    this.#set('lvr_resync_remaining_bytes', labels, resync.remainingBytes);
    if (resync.etaSeconds !== null) this.#set('lvr_resync_eta_seconds', labels, resync.etaSeconds);
  }
}
