import { statfs } from 'node:fs/promises';
import { cpus, freemem, totalmem } from 'node:os';
import { versions } from 'node:process';

export interface DoctorCheck {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'problem';
  readonly found: string;
  /** What to do about it; empty where nothing need be done. */
  readonly remedy: string;
}

const GIB = 2 ** 30;
/** What a training step of rsu-sc at 512x512 and a batch of 8 takes. */
const COMFORTABLE_MEMORY = 12 * GIB;
/** A few checkpoints with their optimiser's state, and the cache of a data set. */
const COMFORTABLE_DISK = 5 * GIB;

const BFLOAT16 = {
  computed: 'bfloat16',
  stored: 'no bfloat16: bf16 halves the memory of training and is computed in fp32',
  slow: 'no bfloat16: the CPU computes in fp32',
};

function check(
  name: string,
  fine: boolean,
  found: string,
  remedy: string,
  worst: 'warning' | 'problem' = 'warning',
): DoctorCheck {
  return { name, status: fine ? 'ok' : worst, found, remedy: fine ? '' : remedy };
}

/** What this machine has, and how to mend what is missing. */
export async function doctor(): Promise<DoctorCheck[]> {
  const [major = 0, minor = 0] = versions.node.split('.').map(Number);
  const disk = await statfs('.');
  const free = disk.bavail * disk.bsize;
  const gib = (bytes: number): string => `${(bytes / GIB).toFixed(1)} GiB`;
  return [
    check(
      'Node',
      major > 20 || (major === 20 && minor >= 19),
      versions.node,
      'Install Node 20.19 or newer.',
      'problem',
    ),
    ...(await torchChecks()),
    await onnxRuntimeCheck(),
    check(
      'memory',
      totalmem() >= COMFORTABLE_MEMORY,
      `${gib(totalmem())}, ${gib(freemem())} free`,
      'Train with a smaller --batch or --size.',
    ),
    check(
      'disk here',
      free >= COMFORTABLE_DISK,
      `${gib(free)} free`,
      'Free some space, or work in a folder on a larger disk.',
    ),
  ];
}

type OnnxRuntime = Pick<typeof import('onnxruntime-node'), 'env' | 'listSupportedBackends'>;

/** Whether ONNX files can be written and used here. */
export async function onnxRuntimeCheck(
  load: () => Promise<OnnxRuntime> = () => import('./inference/onnx-runtime.js'),
): Promise<DoctorCheck> {
  try {
    const { env, listSupportedBackends } = await load();
    const providers = listSupportedBackends()
      .filter(({ bundled }) => bundled)
      .map(({ name }) => name);
    return check(
      'ONNX Runtime',
      providers.includes('cpu'),
      `${env.versions.node ?? env.versions.common}, providers ${providers.join(', ')}; .onnx files compute on cpu`,
      'Install onnxruntime-node again: without its CPU provider no .onnx file can be written or used.',
      'problem',
    );
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    return check(
      'ONNX Runtime',
      false,
      `not available (${reason})`,
      'Run "npm install onnxruntime-node" for this system; until then no .onnx file can be written or used, run folders can.',
      'problem',
    );
  }
}

async function torchChecks(): Promise<DoctorCheck[]> {
  try {
    const { libtorchInfo, numThreads } = await import('@aaunet/torch');
    const info = libtorchInfo();
    const cores = cpus().length;
    const cuda =
      info.cudaDevices > 0
        ? `${info.cudaDevices} CUDA device${info.cudaDevices === 1 ? '' : 's'}`
        : info.cudaBuild
          ? 'no CUDA device found'
          : 'CPU only (this LibTorch has no CUDA)';
    return [
      check('LibTorch', true, `${info.libtorch}, oneDNN ${info.mkldnn ? 'yes' : 'no'}`, ''),
      check(
        'devices',
        !info.cudaBuild || info.cudaDevices > 0,
        cuda,
        'Check the driver with nvidia-smi, or train on the CPU with --device cpu.',
      ),
      check(
        'instruction set',
        /AVX2|AVX512|SVE|DEFAULT/.test(info.cpuCapability) && info.cpuCapability !== 'DEFAULT',
        `${info.cpuCapability}, ${BFLOAT16[info.cpuBfloat16]}`,
        'LibTorch computes without vector instructions here, several times slower; use a newer CPU or a GPU.',
      ),
      check(
        'threads',
        numThreads() >= Math.ceil(cores / 2),
        `${numThreads()} of ${cores} cores`,
        'Unset OMP_NUM_THREADS, or give --threads.',
      ),
    ];
  } catch (error) {
    return [
      {
        name: 'LibTorch',
        status: 'problem',
        found: 'not available',
        remedy: (error as Error).message,
      },
    ];
  }
}
