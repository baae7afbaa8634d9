import { Command, CommanderError } from 'commander';
import { VERSION } from '../version.js';
import { addBench } from './commands/bench.js';
import { addDoctor } from './commands/doctor.js';
import { addEvaluate } from './commands/evaluate.js';
import { addExport } from './commands/export.js';
import { addImport } from './commands/import.js';
import { addInspect } from './commands/inspect.js';
import { addModels } from './commands/models.js';
import { addPredict } from './commands/predict.js';
import { addReproduce } from './commands/reproduce.js';
import { addServe } from './commands/serve.js';
import { addSynth } from './commands/synth.js';
import { addTable } from './commands/table.js';
import { addTrain } from './commands/train.js';
import type { CliContext } from './context.js';
import { type ExitCode, describeError, exitCodeOf } from './errors.js';

function buildProgram(context: CliContext): Command {
  const program = new Command('aaunet')
    .description('Train, evaluate and use networks that outline intracranial hemorrhage on head CT. Research use only.')
    .version(VERSION)
    .option('--verbose', 'show stack traces of errors')
    .showHelpAfterError('(add --help for usage and an example)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    })
    .addHelpText('after', '\nExample:\n  aaunet synth phantoms && aaunet train phantoms --out runs/first');
  for (const add of [
    ...[addSynth, addImport, addTrain, addEvaluate, addTable, addReproduce],
    ...[addInspect, addPredict, addExport, addServe, addModels, addBench, addDoctor],
  ])
    add(program, context);
  // Also after the command's name, where people put it.
  for (const command of program.commands) command.option('--verbose', 'show stack traces of errors');
  return program;
}

/**
 * Runs the command line.
 *
 * @param args arguments after the program's name.
 * @returns the exit status: 0 done, 1 failed, 2 wrong usage. Errors are printed, never thrown.
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<ExitCode> {
  const program = buildProgram(context);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has printed its own message.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    context.stderr.write(`${describeError(error, args.includes('--verbose'))}\n`);
    return exitCodeOf(error);
  }
}
