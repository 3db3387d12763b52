// The QEMU command line of a test machine. KVM is used where a processor with virtualisation shows that it works, else TCG, QEMU's own
// translation, about ten times slower than the machine itself in user code.

import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { VM_SOURCES, type VmImage } from './image.js';

/** A disk of a machine: a file, or an NBD server on a unix socket. The guest sees disks as /dev/vda, /dev/vdb in this order. */
export type VmDisk = { readonly file: string; readonly readOnly?: boolean } | { readonly nbdSocket: string };

/** What a machine is made of. */
export interface VmOptions {
  /** Host name; default vm. */
  readonly name?: string;
  readonly memoryMib?: number;
  readonly cpus?: number;
  readonly disks?: readonly VmDisk[];
  /** TCP ports of the guest that can be reached at 127.0.0.1 of the host: guest port to host port. */
  readonly forward?: ReadonlyMap<number, number>;
  /** Socket of a LanSwitch, and the last byte of the address in 10.9.0.0/24. */
  readonly lan?: { readonly socket: string; readonly host: number };
}

/** How the machine talks: through a control socket that the host listens on, or with a shell on the terminal in that directory. */
export type VmTalk = { readonly control: string } | { readonly shellIn: string };

/** Without these TCG and the kernel do work that a test machine does not need. */
const KERNEL_WORDS = [
  'console=ttyS0 panic=-1 quiet mitigations=off nopti nokaslr no_timer_check cryptomgr.notests random.trust_cpu=on',
  'apparmor=0 audit=0 init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off nowatchdog rcupdate.rcu_expedited=1',
].join(' ');
/** What TCG translates well: the vector code that programs choose on newer ones costs it an eighth more time. */
const TCG_CPU = 'Westmere,+rdrand';

/** Whether it is worth a try; a machine that then does not come up is started again with TCG. */
export function kvmLooksUsable(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return false;
  }
  // Some clouds offer /dev/kvm without the processor's extensions; real machines do not come up there.
  return /^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
}

/** Parameters for qemu-system-x86_64. */
export function qemuParameters(image: VmImage, options: VmOptions, talk: VmTalk, kvm: boolean): string[] {
  const words = [
    KERNEL_WORDS,
    `lvr_guest=${join(VM_SOURCES, 'guest.sh')}`,
    `lvr_modules=${image.modules}`,
    `lvr_name=${options.name ?? 'vm'}`,
    ...(image.code === undefined ? [] : [`lvr_code=${image.code}`]),
    ...('shellIn' in talk ? [`lvr_shell=${talk.shellIn}`] : []),
  ];
  return [
    ...(kvm ? ['-accel', 'kvm', '-cpu', 'host'] : ['-accel', 'tcg,thread=multi,tb-size=1024', '-cpu', TCG_CPU]),
    ...['-M', 'pc,usb=off,hpet=off'],
    ...['-smp', String(options.cpus ?? 2), '-m', String(options.memoryMib ?? 2048)],
    ...['-nodefaults', '-display', 'none', '-no-reboot', '-serial', 'shellIn' in talk ? 'mon:stdio' : 'stdio'],
    ...['-kernel', image.kernel, '-initrd', image.initrd, '-append', words.join(' ')],
    ...['-fsdev', 'local,id=root,path=/,security_model=none,readonly=on,multidevs=remap'],
    ...['-device', 'virtio-9p-pci,fsdev=root,mount_tag=root', '-device', 'virtio-rng-pci'],
    ...('control' in talk ? controlParameters(talk.control) : []),
    ...networkParameters(options),
    ...(options.disks ?? []).flatMap(diskParameters),
  ];
}

function controlParameters(path: string): string[] {
  return ['-device', 'virtio-serial-pci', '-chardev', `socket,id=control,path=${path}`, '-device', 'virtserialport,chardev=control,nr=1'];
}

/** The guest reaches nothing outside: restrict=on, and the private network is a socket. */
function networkParameters(options: VmOptions): string[] {
  const ports = [...(options.forward ?? [])].map(([guest, host]) => `,hostfwd=tcp:127.0.0.1:${host}-:${guest}`);
  const all = [
    '-netdev',
    `user,id=host,restrict=on${ports.join('')}`,
    '-device',
    'virtio-net-pci,netdev=host,mac=52:54:00:00:00:01,romfile=',
  ];
  if (options.lan === undefined) return all;
  const last = options.lan.host.toString(16).padStart(2, '0');
  return [
    ...all,
    ...['-netdev', `stream,id=lan,server=off,addr.type=unix,addr.path=${options.lan.socket}`],
    ...['-device', `virtio-net-pci,netdev=lan,mac=52:54:00:00:01:${last},host_mtu=9000,romfile=`],
  ];
}

function diskParameters(disk: VmDisk, at: number): string[] {
  const backing =
    'nbdSocket' in disk
      ? `driver=nbd,server.type=unix,server.path=${disk.nbdSocket},export=disk`
      : `driver=file,filename=${disk.file}${disk.readOnly === true ? ',read-only=on' : ''}`;
  // The guest sees a disk with a volatile cache: what it wants to keep it must flush.
  const drive = `${backing},node-name=disk${at},discard=unmap`;
  return ['-blockdev', drive, '-device', `virtio-blk-pci,drive=disk${at},write-cache=on`];
}
