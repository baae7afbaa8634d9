import { Argument, type Command } from 'commander';
import { formatImportReport } from '../../importers/report.js';
import { IMPORT_KINDS, type ImportKind } from '../../importers/importers.js';
import { importDataset } from '../../importers/import-dataset.js';
import { type CliContext, interruptible, print, withProgress } from '../context.js';

interface ImportFlags {
  dicom?: string;
  exclude?: string[];
  json?: true;
}

export function addImport(program: Command, context: CliContext): void {
  program
    .command('import')
    .addArgument(new Argument('<kind>', 'which data set it is').choices(IMPORT_KINDS))
    .argument('<src>', 'folder of the data set, or its zip archive (of pairs: also its JSON file)')
    .argument('<out>', 'folder of the new data set')
    .summary('bring a public data set, or your own images and masks, into the format that train takes')
    .description(
      "Checks every case, gives its labels the paper's numbers and writes nnU-Net's raw format with a report of what was found, fixed and skipped. The same call continues an interrupted import.",
    )
    .option('--dicom <folder>', "hemseg: folder with RSNA 2019's DICOM files")
    .option('--exclude <data...>', 'leave out patients and scans that these data sets have')
    .option('--json', 'print the report as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  aaunet import bhsd BHSD.zip data/bhsd\n  aaunet import mbh-seg MBH_Train_2025 data/mbh --exclude data/bhsd',
    )
    .action(async (kind: ImportKind, source: string, out: string, { dicom, exclude, json }: ImportFlags) => {
      const report = await interruptible(context, (signal) =>
        withProgress(context, 'import', 'cases', (onProgress) =>
          importDataset(kind, source, out, { dicom, exclude, onProgress, signal }),
        ),
      );
      if (json) print(context, JSON.stringify(report, null, 2));
      else context.stdout.write(formatImportReport(report));
    });
}
