// Counters of the NBD server: plain numbers, changed in the same function that changes what they count, read by whoever exports them.

import { DOUBLE_ZERO } from '../core/doubles.js';

/** Counters of one command. Bytes are those asked for by commands that succeeded. */
export class CommandCounter {
  readonly name: string;
  completed = 0;
  failed = 0;
  bytes = DOUBLE_ZERO;

  constructor(name: string) {
    this.name = name;
  }
}

/** Counters of all commands. */
export class CommandCounters {
  readonly read = new CommandCounter('read');
  readonly write = new CommandCounter('write');
  readonly flush = new CommandCounter('flush');
  readonly trim = new CommandCounter('trim');
  readonly zero = new CommandCounter('zero');
  readonly blockStatus = new CommandCounter('block_status');
  /** Unknown commands. */
  readonly other = new CommandCounter('other');
}

/** All counters of one server. Only connections and inFlight go down again. */
export class NbdMetrics extends CommandCounters {
  /** Open connections, handshaking ones included. */
  connections = 0;
  connectionsAccepted = 0;
  /** Refused by a limit on connections. */
  connectionsRefused = 0;
  /** Closed for breaking the protocol. */
  protocolErrors = 0;
  /** Cut by a deadline: handshake, half a request, slow reader. */
  deadlineCuts = 0;
  /** Requests handed to a backend and not yet completed. */
  inFlight = 0;
  /** How often a connection stopped reading because a backend had no room, or because of its own limits. */
  stallsForRoom = 0;
  stallsForLimits = 0;
  /** The commands again, by export; as many entries as there are volumes. */
  readonly #exports = new Map<string, CommandCounters>();

  /** Counters of one export, made when it is first used. */
  ofExport(name: string): CommandCounters {
    let counters = this.#exports.get(name);
    if (counters === undefined) {
      counters = new CommandCounters();
      this.#exports.set(name, counters);
    }
    return counters;
  }
}
