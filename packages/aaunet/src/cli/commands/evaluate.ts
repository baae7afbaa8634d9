import { type Command, Option } from 'commander';
import type { EmptyConvention } from '../../metrics/dice.js';
import type { MissedConvention } from '../../metrics/surface.js';
import { formatEvaluation } from '../../metrics/evaluation-report.js';
import { type CliContext, interruptible, print, withProgress } from '../context.js';

interface EvaluateFlags {
  device?: string;
  split: 'train' | 'val' | 'test';
  empty: EmptyConvention;
  missed: MissedConvention;
  json?: true;
}

export function addEvaluate(program: Command, context: CliContext): void {
  program
    .command('evaluate')
    .argument('<run>', 'run folder')
    .summary("score a run's best checkpoint on unseen patients")
    .description(
      'Scores a run in three aggregations of Dice, prints them and writes evaluation.json (every metric, with intervals) and evaluation.html into the run folder.',
    )
    .addOption(new Option('--split <part>', 'part of the split').choices(['train', 'val', 'test']).default('test'))
    .addOption(
      new Option('--empty <score>', 'score where truth and prediction are empty')
        .choices(['nan', 'one'])
        .default('nan'),
    )
    .addOption(
      new Option('--missed <distance>', 'HD95 where only truth or prediction is empty')
        .choices(['nan', 'diagonal'])
        .default('nan'),
    )
    .option('--device <device>', 'cpu or cuda (default: where it was trained)')
    .option('--json', 'print evaluation.json instead of a table')
    .addHelpText('after', '\nExample:\n  aaunet evaluate runs/first --split test')
    .action(async (run: string, { device, split, empty, missed, json }: EvaluateFlags) => {
      const { evaluateRun } = await import('../../evaluation/evaluate.js');
      const onWarning = (text: string): void => {
        context.stderr.write(`warning: ${text}\n`);
      };
      const evaluation = await interruptible(context, (signal) =>
        withProgress(context, 'evaluate', 'slices', (onProgress) =>
          evaluateRun(run, { device, split, empty, missed, onProgress, onWarning, signal }),
        ),
      );
      print(context, json ? JSON.stringify(evaluation, null, 2) : formatEvaluation(evaluation));
    });
}
