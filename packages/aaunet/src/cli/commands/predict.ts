import { type Command, Option } from 'commander';
import type { PredictEvent, Prediction } from '../../inference/predict.js';
import { bloodTitle } from '../../inference/report.js';
import { markdownTable } from '../../metrics/evaluation-report.js';
import { type CliContext, integerOf, interruptible, print } from '../context.js';
import { sentenceOf } from '../errors.js';
import { Progress } from '../progress.js';

interface PredictFlags {
  model: string[];
  out: string;
  device?: string;
  batch?: number;
  threads?: number;
  series?: string;
  repair: boolean;
  flip?: true;
  probabilities?: true;
  names: 'path' | 'number';
  resume?: true;
  jobs?: number;
  as?: string;
}

/** The result as a table: a line an input, mL a type and of all blood. */
export function formatPredictions(predictions: readonly Prediction[]): string {
  const types = predictions[0]?.report.types.map(({ name }) => name) ?? [];
  const rows = predictions.map(({ folder, report }) => [
    folder,
    ...report.types.map(({ volumeMl }) => volumeMl?.toFixed(2) ?? 'not assessed'),
    report.bloodMl.toFixed(2),
  ]);
  return markdownTable(['output (volumes in mL)', ...types, bloodTitle(predictions.map(({ report }) => report))], rows);
}

/** What is said of an input: its path, or where this may tell who was scanned the number that the manifest has it under. */
type Called = (input: { readonly input: string; readonly name: string }) => string;

function progressShower(context: CliContext, called: Called): { show: (event: PredictEvent) => void; end: () => void } {
  let bar: Progress | undefined;
  const show = (event: PredictEvent): void => {
    switch (event.type) {
      case 'input': {
        bar?.finish();
        const label = event.count > 1 ? `predict ${event.index + 1}/${event.count}` : 'predict';
        bar = new Progress({ label, total: event.slices, unit: 'slices', stream: context.stderr });
        break;
      }
      case 'progress':
        bar?.update(event.done, '', event.total);
        break;
      case 'problem':
        bar?.log(`warning: ${called(event)}: ${event.problem.message}`);
    }
  };
  return { show, end: () => bar?.abandon() };
}

export function addPredict(program: Command, context: CliContext): void {
  program
    .command('predict')
    .argument('<input...>', 'NIfTI files, DICOM folders, zip archives, or a file of a DICOM series')
    .summary('outline hemorrhages on scans')
    .description(
      'Segments each scan and writes OUT/<name>/{segmentation.nii.gz, report.json, report.html, volumes.csv, montage.png}, for DICOM also segmentation.dcm and report.dcm. Research use only.',
    )
    .requiredOption(
      '--model <model>',
      'run folder, .safetensors or .onnx file; given again, several decide together',
      (model: string, others: string[] | undefined) => [...(others ?? []), model],
    )
    .requiredOption('--out <out>', 'folder for the results')
    .option('--device <device>', 'cpu or cuda')
    .option('--batch <n>', 'slices at once', integerOf(1))
    .option('--threads <n>', 'CPU threads', integerOf(1))
    .option('--series <uid>', 'read this DICOM series (Series Instance UID; UID#2 is the second stack under one UID)')
    .option('--no-repair', 'leave known faults of values (rescale intercept, padding) as they are')
    .option('--flip', 'also look at mirrored slices and take the mean')
    .option('--probabilities', 'also write the probability of every type')
    .addOption(
      new Option('--names <kind>', 'result folders named after the inputs, or numbered')
        .choices(['path', 'number'])
        .default('path'),
    )
    .option('--resume', 'leave out inputs that are done with these weights and options')
    .option('--jobs <n>', 'scans at once, each in a process of its own', integerOf(1))
    .addOption(new Option('--as <name>').hideHelp())
    .addHelpText('after', '\nExample:\n  aaunet predict study/ --model runs/first --out results')
    .action(async (inputs: string[], { series: seriesUid, ...flags }: PredictFlags) => {
      const { predict } = await import('../../inference/predict.js');
      const called: Called = ({ input, name }) => (flags.names === 'number' ? name : input);
      const shown = progressShower(context, called);
      const { predictions, failures, skipped } = await interruptible(context, (signal) =>
        predict(inputs, { ...flags, seriesUid, signal, onEvent: shown.show }),
      ).finally(shown.end);
      if (skipped.length > 0) context.stderr.write(`${skipped.length} inputs were done already.\n`);
      if (predictions.length > 0) print(context, formatPredictions(predictions));
      if (failures.length === 0) return;
      const count = predictions.length + failures.length + skipped.length;
      if (count > 1) {
        for (const failure of failures)
          context.stderr.write(`failed: ${called(failure)}: ${sentenceOf(failure.error)}\n`);
        throw new Error(`${failures.length} of ${count} inputs could not be segmented; see above.`);
      }
      throw failures[0]!.error;
    });
}
