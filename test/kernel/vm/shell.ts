// `make vm`: a shell in a test machine, on this terminal. MEMORY=MiB and DISK=file (seen as /dev/vda) change it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { REPOSITORY } from '../../helpers/workspace.js';
import { prepareImage } from './image.js';
import { kvmLooksUsable, qemuParameters, type VmOptions } from './qemu.js';

const disk = process.env['DISK'];
const options: VmOptions = {
  memoryMib: Number(process.env['MEMORY'] || 2048),
  ...(disk === undefined || disk === '' ? {} : { disks: [{ file: disk }] }),
};
const parameters = qemuParameters(await prepareImage(), options, { shellIn: REPOSITORY }, kvmLooksUsable());
const child = spawn('qemu-system-x86_64', parameters, { stdio: 'inherit' });
const [code] = (await once(child, 'exit')) as [number | null];
process.exitCode = code ?? 1;
