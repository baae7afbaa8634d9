import { type Command, Option } from 'commander';
import type { ExportResult } from '../../export/export-model.js';
import { EXPORT_PRECISIONS, type ExportPrecision } from '../../export/exported-model.js';
import { type CliContext, integerOf, interruptible, print } from '../context.js';
import { Progress } from '../progress.js';

interface ExportFlags {
  out: string;
  precision: ExportPrecision;
  batch?: number;
}

/** The result in a line. */
export function formatExport({ out, precision, bytes, agreement, dice }: ExportResult): string {
  const { largestDifference, largestLogit, sameLabels, slices, source } = agreement;
  const share = (value: number | null): string => value?.toFixed(3) ?? 'none';
  return [
    `${out}: ${precision}, ${(bytes / 1e6).toFixed(1)} MB`,
    `on ${slices} slices of ${source} ${(100 * sameLabels).toFixed(2)} % of the labels are LibTorch's and logits at most ${largestDifference.toPrecision(2)} apart (largest ${largestLogit.toPrecision(3)})`,
    ...(dice
      ? [`mean Dice on ${dice.slices} validation slices ${share(dice.int8)}, before rounding ${share(dice.fp32)}`]
      : []),
  ].join('; ');
}

export function addExport(program: Command, context: CliContext): void {
  program
    .command('export')
    .argument('<run>', 'run folder, or a .safetensors file with its model.json')
    .summary('write a trained network as an ONNX file')
    .description(
      'Writes a trained network as an ONNX file for "aaunet predict", the viewer and other programs, after ONNX Runtime has computed from it what LibTorch does.',
    )
    .requiredOption('--out <file>', 'the .onnx file')
    .addOption(
      new Option('--precision <type>', 'of weights and computation; int8 is calibrated on training slices')
        .choices([...EXPORT_PRECISIONS])
        .default('fp32'),
    )
    .option('--batch <n>', 'slices at a time that the file insists on; any number where absent', integerOf(1))
    .addHelpText('after', '\nExample:\n  aaunet export runs/first --out model.onnx')
    .action(async (run: string, { out, precision, batch }: ExportFlags) => {
      const { exportModel } = await import('../../export/export-model.js');
      let bar: { what: string; progress: Progress } | undefined;
      const onProgress = (what: string, done: number, total: number): void => {
        if (bar?.what !== what) {
          bar?.progress.finish();
          bar = { what, progress: new Progress({ label: what, total, unit: 'slices', stream: context.stderr }) };
        }
        bar.progress.update(done);
      };
      try {
        const result = await interruptible(context, (signal) =>
          exportModel(run, { out, precision, batch, onProgress, signal }),
        );
        bar?.progress.finish();
        for (const warning of result.warnings) context.stderr.write(`warning: ${warning}\n`);
        print(context, formatExport(result));
      } finally {
        bar?.progress.abandon();
      }
    });
}
