import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { shellWords } from '../../shell-words.js';
import { type TrainConfig, readTrainConfig, resolveTrainConfig } from '../../training/config.js';
import type { TrainEvent } from '../../training/events.js';
import { type CliContext, integerOf, interruptible, print } from '../context.js';
import { InterruptedError, UsageError } from '../errors.js';
import { endWith, endWithLauncher, isLaunched, launch, withoutNproc } from '../launch.js';
import { checkAskedModel } from '../model-name.js';
import { Progress } from '../progress.js';

export interface TrainFlags {
  out: string;
  model?: string;
  config?: string;
  epochs?: number;
  maxSteps?: number;
  size?: number;
  batch?: number;
  device?: string;
  precision?: string;
  threads?: number;
  nproc?: number;
  resume?: true;
  init?: string;
  seed?: number;
}

/**
 * The configuration that a command line asks for: the file's, flags over it. Resuming without a file takes the run's own; with
 * one, the training itself refuses what differs, so that a scheduler may start the same command again and again.
 *
 * @throws UsageError if a flag's value is out of range.
 */
export async function configFromFlags(data: string, flags: TrainFlags): Promise<TrainConfig> {
  const { model, epochs, maxSteps, size, batch, device, precision, threads, init, seed } = flags;
  const values = { data, model, epochs, maxSteps, size, batch, device, precision, threads, init, seed };
  try {
    resolveTrainConfig({}, values, 'The command line');
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
  const own = join(flags.out, 'config.json');
  const isOwn =
    flags.resume === true &&
    flags.config === undefined &&
    (await access(own).then(
      () => true,
      () => false,
    ));
  if (isOwn) {
    const { readRunConfig } = await import('../../training/run-folder.js');
    return resolveTrainConfig(await readRunConfig(flags.out), values, own);
  }
  if (flags.config !== undefined) return readTrainConfig(flags.config, values);
  return resolveTrainConfig({}, values, 'The command line');
}

/** The command that continues a run, whose folder knows all else. */
export function resumeCommand(data: string, out: string, nproc?: number): string {
  const processes = nproc === undefined ? [] : ['--nproc', String(nproc)];
  return shellWords(['aaunet', 'train', data, '--out', out, ...processes, '--resume']);
}

/** Shows the events of a training as two bars (preparing the data, training) and lines that stay. */
export class TrainProgress {
  private readonly prepare: Progress;
  private readonly download: Progress;
  private steps: Progress | undefined;
  private isPreparing = false;

  constructor(private readonly context: CliContext) {
    this.prepare = new Progress({ label: 'prepare', total: 0, unit: 'cases', stream: context.stderr });
    this.download = new Progress({ label: 'download', total: 0, unit: 'MB', stream: context.stderr });
  }

  show(event: TrainEvent): void {
    const { stderr } = this.context;
    switch (event.type) {
      case 'prepare':
        this.isPreparing = true;
        this.prepare.update(event.done, '', event.total);
        break;
      case 'download':
        this.download.update(Math.round(event.done / 1e6), '', Math.round(event.total / 1e6));
        if (event.done === event.total) this.download.finish();
        break;
      case 'start':
        if (this.isPreparing) this.prepare.finish();
        this.steps = new Progress({ label: 'train', total: event.totalSteps, unit: 'steps', stream: stderr });
        if (event.resumed) this.log(`resuming after step ${event.step} of ${event.totalSteps}`);
        break;
      case 'step':
        this.steps?.update(event.step, `epoch ${event.epoch}  loss ${event.loss.toFixed(4)}`);
        break;
      case 'validation': {
        const dice = Number.isNaN(event.meanDice) ? 'no score' : event.meanDice.toFixed(3);
        this.log(
          `step ${event.step}  epoch ${event.epoch}  validation Dice ${dice}${event.best ? '  (best so far)' : ''}`,
        );
        break;
      }
      case 'message':
        this.log(event.text);
    }
  }

  finish(): void {
    this.steps?.finish();
  }

  abandon(): void {
    this.prepare.abandon();
    this.download.abandon();
    this.steps?.abandon();
  }

  private log(line: string): void {
    if (this.steps) this.steps.log(line);
    else this.context.stderr.write(`${line}\n`);
  }
}

/** The options that say how to train, whatever the network. */
export function addTrainOptions(command: Command): Command {
  return command
    .option('--config <file>', 'configuration (JSON); the options here go over it')
    .option('--epochs <n>', 'epochs', integerOf(1))
    .option('--max-steps <n>', 'end after so many steps', integerOf(1))
    .option('--size <n>', 'in-plane input size in pixels, a multiple of 32', integerOf(1))
    .option('--batch <n>', 'slices in a step', integerOf(1))
    .option('--device <device>', 'cpu or cuda')
    .option('--precision <type>', 'bf16 or fp32')
    .option('--threads <n>', 'CPU threads', integerOf(1))
    .option('--seed <n>', 'random seed', integerOf(0));
}

export function addTrain(program: Command, context: CliContext): void {
  const command = program
    .command('train')
    .argument('<data>', "data set in nnU-Net's raw format")
    .summary('train a network')
    .description('Trains a network and writes a run folder. Ctrl-C stops it with a checkpoint; --resume continues.')
    .requiredOption('--out <run>', 'run folder')
    .option('--model <name>', 'network, see "aaunet models" (default: rsu-sc)');
  addTrainOptions(command)
    .option(
      '--nproc <n>',
      'processes that train together, one a device; without it those of torchrun, Slurm or Kubeflow join',
      integerOf(1),
    )
    .option('--resume', "continue from the run's last checkpoint")
    .option(
      '--init <weights>',
      'start from these weights: a .safetensors or .pth file, or a name such as timm/resnest50d.in1k',
    )
    .addHelpText(
      'after',
      '\nExample:\n  aaunet train phantoms --out runs/first --size 128 --batch 8 --epochs 10' +
        '\n  aaunet train phantoms --out runs/second --device cuda --nproc 4',
    )
    .action(async (data: string, flags: TrainFlags) => {
      const config = await configFromFlags(data, flags);
      await checkAskedModel(config.model);
      if (flags.nproc !== undefined && flags.nproc > 1) {
        const { nproc: processes } = flags;
        const args = withoutNproc(process.argv.slice(1));
        await interruptible(context, (signal) => launch({ processes, args, signal }));
        return;
      }
      // Asked for by number, one is one, whatever the environment says.
      if (flags.nproc === 1)
        for (const name of ['RANK', 'WORLD_SIZE', 'SLURM_PROCID']) Reflect.deleteProperty(process.env, name);
      const launched = isLaunched();
      if (launched) endWithLauncher();
      const { train } = await import('../../training/train.js');
      const shown = new TrainProgress(context);
      try {
        const quiet = { ...context, stderr: { write: () => true } };
        const result = await interruptible(launched ? quiet : context, (signal) =>
          train(config, {
            run: flags.out,
            resume: flags.resume ?? false,
            signal,
            onEvent: (event) => {
              shown.show(event);
            },
          }),
        );
        if (result.interrupted) {
          const nproc = launched ? Number(process.env['WORLD_SIZE']) : flags.nproc;
          throw new InterruptedError(
            result.steps === 0
              ? 'Stopped before the first step; the same command starts again.'
              : `Stopped after step ${result.steps} with a checkpoint; continue with: ${resumeCommand(data, flags.out, nproc)}`,
          );
        }
        shown.finish();
        if (!result.isFirst) return;
        print(context, `run: ${result.run}`);
        print(context, `steps: ${result.steps}`);
        print(context, `best validation Dice: ${Number.isNaN(result.bestDice) ? 'none' : result.bestDice.toFixed(4)}`);
      } catch (error) {
        shown.abandon();
        if (launched) await endWith(error);
        throw error;
      }
    });
}
