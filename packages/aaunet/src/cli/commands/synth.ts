import type { Command } from 'commander';
import { type CliContext, integerOf, interruptible, print, withProgress } from '../context.js';
import { InterruptedError } from '../errors.js';

interface SynthFlags {
  cases: number;
  size: number;
  seed: number;
  dicom?: true;
}

export function addSynth(program: Command, context: CliContext): void {
  program
    .command('synth')
    .argument('<out>', 'folder of the new data set')
    .summary('make a data set of synthetic head CTs with seven hemorrhage types')
    .description("Makes synthetic head CTs with ground truth, in nnU-Net's raw format, and prints their statistics.")
    .option('--cases <n>', 'patients', integerOf(1), 51)
    .option('--size <n>', 'rows and columns in pixels', integerOf(32), 512)
    .option('--seed <n>', 'same seed, same data', integerOf(0), 0)
    .option('--dicom', 'also write every case as a DICOM CT series')
    .addHelpText('after', '\nExample:\n  aaunet synth phantoms --cases 20 --size 128')
    .action(async (out: string, { cases, size, seed, dicom }: SynthFlags) => {
      const { synthesize } = await import('../../phantom/synthesize.js');
      const { formatStatistics } = await import('../../phantom/statistics.js');
      const statistics = await interruptible(context, (signal) =>
        withProgress(context, 'synth', 'cases', (onProgress) =>
          synthesize(out, { cases, size, seed, dicom: dicom ?? false, onProgress, signal }),
        ),
      ).catch((error: unknown) => {
        if (!(error instanceof InterruptedError)) throw error;
        throw new InterruptedError('Stopped before all cases were made; the same command starts again.', {
          cause: error,
        });
      });
      print(context, formatStatistics(statistics));
    });
}
