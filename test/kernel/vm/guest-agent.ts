// An agent inside a test machine. Its files lie on a ramdisk or disk of the machine, because O_DIRECT does not work on the overlay.

import { type GroupStatus, LVR, LVRD } from '../../helpers/agent.js';
import type { ScriptResult, Vm } from './vm.js';

const START_MS = 120_000;
/** Finds the process, also after it was replaced by a successor of its own. */
const FIND = "pgrep -f 'agent/main.js --config'";

/** Socket alone, not IO::Socket: that would load twenty more files. */
const ASK = `use Socket; $path = shift; $| = 1;
for (@ARGV) {
  socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, sockaddr_un($path)) or die "$path: $!\\n";
  syswrite(S, "$_\\n"); print scalar(<S>); close S;
}`;

interface Answer {
  readonly result?: unknown;
  readonly error?: unknown;
}

/**
 * Shell words that end with success when `text` is in the file, and fail when the process has ended or after `timeoutMs`. They start no
 * process of their own: a grep and a sleep ten times a second would take half of an emulated processor from what they wait for.
 */
function waitFor(file: string, text: string, pid: string, timeoutMs: number): string {
  return `( agent=${pid}; exec 4<> <(:)
for ((i = 0; i < ${timeoutMs / 100}; i++)); do
  mapfile -t lines <${file}; [[ "\${lines[*]}" != *'${text}'* ]] || exit 0
  kill -0 $agent || exit 1
  read -rt 0.1 -u 4 || true
done; exit 1 )`;
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

  /**
   * Starts it with the words of `environment` in front of it, after the script `first`; waits until it says that it is ready and returns
   * what it said until then.
   */
  start(environment = '', first = ''): Promise<string> {
    const log = `/run/agent${++this.#starts}.log`;
    const config = Buffer.from(this.#config).toString('base64');
    return this.vm.run(
      `${first}
mkdir -p ${this.directory}; echo ${config} | base64 -d >/run/lvr.toml
: >${log}
${environment} setsid node ${LVRD} --config /run/lvr.toml >${log} 2>&1 </dev/null &
${waitFor(log, '"event":"ready"', '$!', START_MS)} || { cat ${log}; exit 1; }
cat ${log}`,
      { timeoutMs: START_MS + 10_000 },
    );
  }

  /** Runs an `lvr` verb. */
  lvr(words: string, timeoutMs = 60_000): Promise<ScriptResult> {
    return this.vm.script(`node ${LVR} --agent ${this.#control} ${words}`, { timeoutMs });
  }

  /** Asks over the control socket as the command line does, without the seconds that starting it takes under TCG. Rejects on an error. */
  async ask(verb: string, parameters: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return (await this.askAll([[verb, parameters]]))[0];
  }

  /** Several questions, one after the other; a refused one does not keep the next from being asked. */
  async askAll(questions: readonly (readonly [verb: string, parameters: Readonly<Record<string, unknown>>])[]): Promise<unknown[]> {
    const requests = questions.map(([verb, args]) => `'${JSON.stringify({ verb, args })}'`);
    const output = await this.vm.run(`perl -e '${ASK}' ${this.#control} ${requests.join(' ')}`);
    const answers = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Answer);
    return questions.map(([verb], at) => {
      const answer = answers[at];
      if (answer === undefined || answer.error !== undefined) throw new Error(`${verb}: ${JSON.stringify(answer?.error)}`);
      return answer.result;
    });
  }

  async status(): Promise<GroupStatus[]> {
    return ((await this.ask('status')) as { items: GroupStatus[] }).items;
  }

  /** Attaches `group/volume` and returns the device. */
  async attach(target: string): Promise<string> {
    return (await this.attachAll([target]))[0] as string;
  }

  /** Attaches several volumes and returns their devices. */
  async attachAll(targets: readonly string[]): Promise<string[]> {
    const results = await this.askAll(targets.map((target) => ['attach', { target }]));
    return results.map((result, at) => {
      const { device } = result as { device?: string };
      if (device === undefined) throw new Error(`attach ${targets[at]} named no device`);
      return device;
    });
  }

  async detachAll(targets: readonly string[]): Promise<void> {
    await this.askAll(targets.map((target) => ['detach', { target }]));
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
