import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';

import type { ReproduceEvent } from '../../comparison/reproduce.js';
import { shellWords } from '../../shell-words.js';
import { type CliContext, interruptible, print } from '../context.js';
import { InterruptedError } from '../errors.js';
import { checkAskedModel } from '../model-name.js';
import { Progress } from '../progress.js';
import { addTrainOptions, configFromFlags, TrainProgress, type TrainFlags } from './train.js';

interface ReproduceFlags extends Omit<TrainFlags, 'out' | 'model' | 'resume' | 'init'> {
  models?: string[];
  paper?: string;
}

/** The bars of the network that is being trained or evaluated, under a line that names it. */
class ReproduceProgress {
  private training: TrainProgress | undefined;
  private evaluation: Progress | undefined;

  constructor(private readonly context: CliContext) {}

  show(event: ReproduceEvent): void {
    const { stderr } = this.context;
    switch (event.type) {
      case 'network':
        this.training = undefined;
        this.evaluation = undefined;
        stderr.write(
          `[${event.index + 1}/${event.total}] ${event.model}${event.done ? ': trained and evaluated already' : ''}\n`,
        );
        break;
      case 'train':
        this.training ??= new TrainProgress(this.context);
        this.training.show(event.event);
        break;
      case 'evaluate':
        this.training?.finish();
        this.evaluation ??= new Progress({ label: 'evaluate', total: event.total, unit: 'slices', stream: stderr });
        this.evaluation.update(event.done);
        if (event.done === event.total) this.evaluation.finish();
        break;
      case 'failed':
        this.abandon();
        stderr.write(`${event.model} failed: ${event.message}\n`);
    }
  }

  abandon(): void {
    this.training?.abandon();
    this.evaluation?.abandon();
  }
}

/** The options that a command was called with, as it takes them. */
function givenOptions(command: Command): string[] {
  return command.options.flatMap((option) => {
    const name = option.attributeName();
    if (option.long === undefined || command.getOptionValueSource(name) !== 'cli') return [];
    const value = command.getOptionValue(name) as string | number | true | string[];
    return value === true ? [option.long] : [option.long, String(value)];
  });
}

export function addReproduce(program: Command, context: CliContext): void {
  const command = program
    .command('reproduce')
    .argument('<data>', "data set in nnU-Net's raw format")
    .argument('<out>', 'folder for the runs, the tables and the figure')
    .summary("train and evaluate the networks of the paper's Table I")
    .description(
      'Trains and evaluates networks with the same splits, seed and budget, and prints the table. Ctrl-C stops it; the same command continues.',
    )
    .option('--models <names>', "networks, separated by commas (default: Table I's nine)", (text) => text.split(','))
    .option('--paper <file>', 'JSON of figures to stand beside: {"rsu-sc": {"ICH": 0.5, "mean": 0.4}}');
  addTrainOptions(command)
    .addHelpText('after', '\nExample:\n  aaunet reproduce phantoms comparison --size 128 --batch 8 --max-steps 400')
    .action(async (data: string, out: string, { models, paper, ...flags }: ReproduceFlags, called: Command) => {
      // Begun already and nothing said: the budget is the one that it was begun with.
      const isBegun = await access(join(out, 'config.json')).then(
        () => true,
        () => false,
      );
      const resume = isBegun && flags.config === undefined ? { resume: true as const } : {};
      const config = await configFromFlags(data, { ...flags, ...resume, out });
      for (const model of models ?? []) await checkAskedModel(model);
      const { reproduce } = await import('../../comparison/reproduce.js');
      const { readPaperFigures } = await import('../../comparison/comparison.js');
      const { formatComparison } = await import('../../comparison/format.js');
      const figures = paper === undefined ? undefined : await readPaperFigures(paper);
      const progress = new ReproduceProgress(context);
      const onEvent = (event: ReproduceEvent): void => {
        progress.show(event);
      };
      const { comparison, failed, interrupted } = await interruptible(context, (signal) =>
        reproduce(config, { out, models, paper: figures, onEvent, signal }),
      );
      if (interrupted) {
        progress.abandon();
        throw new InterruptedError(
          `Stopped; the same command continues: ${shellWords(['aaunet', 'reproduce', data, out, ...givenOptions(called)])}`,
        );
      }
      if (comparison) {
        print(context, formatComparison(comparison, 'md'));
        context.stderr.write(`Written: ${join(out, 'table.{md,csv,tex}')}, comparison.json, figure.png\n`);
      }
      if (failed.length > 0)
        throw new Error(
          `${failed.length} of the networks failed (${failed.map(({ model }) => model).join(', ')}); the same command tries them again.`,
        );
    });
}
