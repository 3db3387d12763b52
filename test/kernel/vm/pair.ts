// Two machines whose groups are pairs: file systems lie on attached volumes of the first one, and the second one can take over.
//
// The workload writes file i to volume data and syncs it, then line i to a file on volume wal and syncs that, and says so on the control
// port, so what was promised is known outside of both machines.

import { until } from '../../helpers/command.js';
import type { Workspace } from '../../helpers/workspace.js';
import { GuestAgent } from './guest-agent.js';
import { LanSwitch } from './lan.js';
import { Vm } from './vm.js';

const VOLUMES = ['data', 'wal'];
const VOLUME_SIZE = '16MiB';
const PLACE = '/mnt/agent';
/** The link of a silent machine is given up after 15 s, of one that is back at once. */
const PROMOTE_MS = 60_000;
const PREPARE = `modprobe brd rd_nr=1 rd_size=$((192 * 1024)); modprobe -a nbd loop fuse ext4
mkfs.ext4 -q -O ^has_journal -E nodiscard /dev/ram0; mkdir -p /mnt; mount /dev/ram0 /mnt`;

/** What the file systems of a group hold: lines from the first one on, and complete files from the first one on. */
export interface Held {
  readonly lines: number;
  readonly files: number;
}

/** Writes and syncs files and lines from `first` to `last`; prints "synced I" when file I and line I would survive. */
export function workload(group: string, first: number, last: number): string {
  return `cd /${group}
for ((i = ${first}; i <= ${last}; i++)); do
  seq $i $((i + 2000)) >data/file$i; sync data data/file$i
  echo $i >>wal/lines; sync wal wal/lines
  echo synced $i
done`;
}

/** Config of one side: groups with two volumes each, everything on the ramdisk. */
function config(site: 'a' | 'b', mode: 'async' | 'logged', groups: readonly string[]): string {
  const [own, other, peer] = site === 'a' ? ['10.9.0.1', '10.9.0.2', 'b'] : ['10.9.0.2', '10.9.0.1', 'a'];
  const head = `[agent]
site = "${site}"
state_dir = "${PLACE}/state"
control = "${PLACE}/agent.sock"
nbd = ["unix:${PLACE}/nbd.sock"]
listen = "${own}:7749"
insecure = true
`;
  const text = groups.map((group) => {
    const volumes = VOLUMES.map(
      (volume) => `[groups.${group}.volumes.${volume}]\ndevice = "${PLACE}/${group}-${volume}.img"\nsize = "${VOLUME_SIZE}"\n`,
    );
    return `[groups.${group}]
role = "${site === 'a' ? 'primary' : 'secondary'}"
log = { path = "${PLACE}/${group}.log", size = "16MiB" }
${volumes.join('')}[groups.${group}.sites.${peer}]
address = "${other}:7749"
mode = "${mode}"
`;
  });
  return head + text.join('');
}

/**
 * Scripts that run side by side: each waits more than it works. What each printed comes in one piece; on one pipe their lines would be
 * torn, because e2fsck writes a line in several pieces.
 */
function together(scripts: readonly string[]): string {
  const jobs = scripts.map((script, at) => `( ${script}\n) >/run/together${at} 2>&1 & jobs+=($!)`);
  return `jobs=() failed=0
${jobs.join('\n')}
for at in "\${!jobs[@]}"; do wait "\${jobs[at]}" || failed=1; cat /run/together$at; done
[ $failed = 0 ]`;
}

/** The two machines and the network between them. */
export class VmPair {
  readonly lan: LanSwitch;
  readonly machines: readonly [Vm, Vm];
  readonly #mode: 'async' | 'logged';
  readonly #groups: readonly string[];

  private constructor(lan: LanSwitch, machines: [Vm, Vm], mode: 'async' | 'logged', groups: readonly string[]) {
    this.lan = lan;
    this.machines = machines;
    this.#mode = mode;
    this.#groups = groups;
  }

  /** The machines are off at first. */
  static async make(workspace: Workspace, mode: 'async' | 'logged', groups: readonly string[]): Promise<VmPair> {
    const lan = await LanSwitch.make(workspace);
    // One processor each: with more, a machine waits for one of its own that another machine keeps from running.
    const vm = (host: number): Vm => new Vm(workspace, { name: `vm${host}`, cpus: 1, memoryMib: 1024, lan: { socket: lan.socket, host } });
    return new VmPair(lan, [vm(1), vm(2)], mode, groups);
  }

  /** Starts one machine, without an agent. */
  async boot(vm: Vm): Promise<void> {
    await vm.start();
    await vm.run(PREPARE);
  }

  /** Agents that start from nothing on both machines, with the volumes of all groups attached and mounted on the first. */
  async fresh(): Promise<[GuestAgent, GuestAgent]> {
    this.lan.cut = false;
    const prepare = async (vm: Vm, site: 'a' | 'b'): Promise<GuestAgent> => {
      if (!vm.running) await this.boot(vm);
      const agent = new GuestAgent(vm, PLACE, config(site, this.#mode, this.#groups));
      await agent.start('', `pkill -9 -f agent/main.js || true; rm -rf ${PLACE}`);
      return agent;
    };
    const [a, b] = this.machines;
    const agents = await Promise.all([prepare(a, 'a'), prepare(b, 'b')]);
    const places = this.#targets();
    const devices = await agents[0].attachAll(places);
    const each = places.map(
      (place, at) => `mkfs.ext4 -q -E nodiscard ${devices[at]}; mkdir -p /${place}; mount ${devices[at]} /${place}; sync -f /${place}`,
    );
    await a.run(together(each));
    return agents;
  }

  /** Promotes all groups at the second site, checks their file systems and says what each one holds. Rejects when a check says nothing. */
  async takeOver(agent: GuestAgent): Promise<Map<string, Held>> {
    // Refused until the link has noticed that the other machine is silent.
    for (const group of this.#groups)
      await until(`promote ${group}`, PROMOTE_MS, async () => (await agent.ask('promote', { group, force: false })) ?? true, 300);
    const places = this.#targets();
    const devices = await agent.attachAll(places);
    // A line that was not synced may be there as zero bytes: ext4 may keep a new length and lose what was appended to a block.
    const check = this.#groups.map((group, at) => {
      const [data, wal] = devices.slice(at * VOLUMES.length);
      return `mkdir -p /${group}/data /${group}/wal; cd /${group}
mount ${data} data; mount ${wal} wal; touch wal/lines
lines=$(wc -l <wal/lines); cmp <(seq $lines) <(head -n $lines wal/lines) >&2
files=0; while cmp -s <(seq $((files + 1)) $((files + 2001))) data/file$((files + 1)); do files=$((files + 1)); done
umount data wal; e2fsck -fn ${data} >&2; e2fsck -fn ${wal} >&2
echo "group ${group} lines $lines files $files"`;
    });
    const output = await agent.vm.run(together(check));
    await agent.detachAll(places);
    const found = output.matchAll(/^group (\S+) lines (\d+) files (\d+)$/gm);
    const held = new Map(Array.from(found, ([, group, lines, files]) => [group as string, { lines: Number(lines), files: Number(files) }]));
    for (const group of this.#groups) if (!held.has(group)) throw new Error(`the check said nothing of ${group}, it printed:\n${output}`);
    return held;
  }

  async kill(): Promise<void> {
    await Promise.all(this.machines.map((vm) => vm.kill()));
  }

  #targets(): string[] {
    return this.#groups.flatMap((group) => VOLUMES.map((volume) => `${group}/${volume}`));
  }
}
