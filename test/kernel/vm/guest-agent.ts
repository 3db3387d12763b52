// An agent inside a test machine. Its files lie on a ramdisk or disk of the machine, because O_DIRECT does not work on the overlay.

import { type GroupStatus, LVR, LVRD } from '../../helpers/agent.js';
import type { ScriptResult, Vm } from './vm.js';

const START_MS = 60_000;
/** Finds the process, also after it was replaced by a successor of its own. */
const FIND = "pgrep -f 'agent/main.js --config'";

const ASK = 'use IO::Socket::UNIX; $s = IO::Socket::UNIX->new(Peer => shift) or die "$!\\n"; print $s shift, "\\n"; print scalar <$s>;';

interface Answer {
  readonly result?: unknown;
  readonly error?: unknown;
}

/** One lvrd in a machine. */
export class GuestAgent {
  readonly vm: Vm;
  readonly directory: string;
  readonly #config: string;
  readonly #control: string;
  #starts = 0;

  /** `config`: TOML whose control socket is `directory`/agent.sock, as configText() makes it. */
  constructor(vm: Vm, directory: string, config: string) {
    this.vm = vm;
    this.directory = directory;
    this.#control = `${directory}/agent.sock`;
    this.#config = config;
  }

  /** Starts it and waits until it says that it is ready. */
  async start(environment = ''): Promise<void> {
    const log = `/run/agent${++this.#starts}.log`;
    const config = Buffer.from(this.#config).toString('base64');
    await this.vm.run(
      `mkdir -p ${this.directory}; echo ${config} | base64 -d >/run/lvr.toml
${environment} setsid node ${LVRD} --config /run/lvr.toml >${log} 2>&1 </dev/null & echo $! >/run/agent.pid
for i in $(seq ${START_MS / 100}); do
  grep -q '"event":"ready"' ${log} && exit 0
  kill -0 $(cat /run/agent.pid) || break
  sleep 0.1
done
cat ${log}; exit 1`,
      { timeoutMs: START_MS + 10_000 },
    );
  }

  /** Runs an `lvr` verb. */
  lvr(words: string, timeoutMs = 60_000): Promise<ScriptResult> {
    return this.vm.script(`node ${LVR} --agent ${this.#control} ${words}`, { timeoutMs });
  }

  /** Asks over the control socket as the command line does, without the seconds that starting it takes under TCG. Rejects on an error. */
  async ask(verb: string, parameters: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const request = JSON.stringify({ verb, args: parameters });
    const answer = JSON.parse(await this.vm.run(`perl -e '${ASK}' ${this.#control} '${request}'`)) as Answer;
    if (answer.error !== undefined) throw new Error(`${verb}: ${JSON.stringify(answer.error)}`);
    return answer.result;
  }

  async status(): Promise<GroupStatus[]> {
    return ((await this.ask('status')) as { items: GroupStatus[] }).items;
  }

  /** Attaches `group/volume` and returns the device. */
  async attach(target: string): Promise<string> {
    const { device } = (await this.ask('attach', { target })) as { device?: string };
    if (device === undefined) throw new Error(`attach ${target} named no device`);
    return device;
  }

  async kill(): Promise<void> {
    await this.vm.run(`kill -9 $(${FIND})`);
  }

  /** Ends it in order; resolves when the process is gone. */
  async stop(timeoutMs = 30_000): Promise<void> {
    await this.vm.run(`kill $(${FIND}); while ${FIND} >/dev/null; do sleep 0.1; done`, { timeoutMs });
  }

  /** What it printed, without the coming and going of clients. */
  async story(): Promise<string> {
    return (await this.vm.script('grep -hv nbd- /run/agent*.log | tail -40; dmesg | tail -20')).output;
  }
}
