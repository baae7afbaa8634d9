import { ImagingError } from '../imaging-error.js';
import type { DicomDataset } from './dataset.js';
import type { DicomFile } from './parse.js';
import {
  CT_IMAGE_STORAGE,
  DICOMDIR_STORAGE,
  ENHANCED_CT_IMAGE_STORAGE,
  LEGACY_ENHANCED_CT_IMAGE_STORAGE,
  SECONDARY_CAPTURE,
  TAG,
} from './tags.js';

const LOCALIZERS = /LOCALI[SZ]ER|SCOUT|SURVIEW|TOPOGRAM/i;
const REFORMATS =
  /^(\w*MPR\w*|REFORMAT\w*|MIP|MINIP|\w*PROJECTION\w*( IMAGE)?|VRT|SSD|3D\w*|VOLUME_?RENDERED|CURVED)$/i;
const REFORMAT_WORDS = /\b(MPR|MIP|MINIP|3D|VRT|VR|SSD|REFORMAT(S|TED)?|COR(ONAL)?|SAG(ITTAL)?)\b/i;
const ENHANCED: readonly string[] = [ENHANCED_CT_IMAGE_STORAGE, LEGACY_ENHANCED_CT_IMAGE_STORAGE];

/** What a modality other than CT is, where that helps. */
const OTHERS: Readonly<Record<string, string>> = {
  SR: ', a report such as the dose report',
  SEG: ', a segmentation',
  PR: ', a display setting',
  OT: ', a screen capture or other picture',
  DOC: ', a document',
};

const refuse = (message: string): ImagingError => new ImagingError('unsupported', message);

/** Throws, saying what the object is, unless it is a CT image of slices. */
export function checkKind({ dataset, mediaSopClass }: DicomFile): void {
  if (mediaSopClass === DICOMDIR_STORAGE) {
    throw refuse('Expected a CT slice, found a DICOMDIR, the list of the files beside it.');
  }
  const sopClass = dataset.text(TAG.sopClassUid) ?? mediaSopClass ?? CT_IMAGE_STORAGE;
  const modality = dataset.text(TAG.modality);
  const imageType = dataset.texts(TAG.imageType);
  if (modality === 'CT' && imageType.some((value) => LOCALIZERS.test(value))) {
    throw refuse(`Expected an axial CT slice, found a localizer (image type ${imageType.join('\\').slice(0, 80)}).`);
  }
  if (sopClass.startsWith(SECONDARY_CAPTURE)) {
    throw refuse(
      `Expected a CT slice, found a secondary capture (SOP class ${sopClass.slice(0, 64)}, modality ${modality?.slice(0, 16) ?? 'unknown'}), a picture of a screen without position and spacing, in which nothing can be measured: export the original axial slices.`,
    );
  }
  if (modality !== 'CT') {
    throw refuse(
      `Expected CT, found the modality ${modality?.slice(0, 16) ?? '(none)'}${OTHERS[modality ?? ''] ?? ''}.`,
    );
  }
  if (sopClass !== CT_IMAGE_STORAGE && !ENHANCED.includes(sopClass)) {
    throw refuse(
      `Expected a CT Image Storage object, found the SOP class ${sopClass.slice(0, 64)}: export the original axial slices.`,
    );
  }
  const samples = dataset.uint16(TAG.samplesPerPixel) ?? 1;
  if (samples !== 1) throw refuse(`Expected grey pixels of one sample, found ${samples} samples a pixel.`);
}

/** Whether image type or description call the slices a reformat or a projection. */
export function isReformat(dataset: DicomDataset, frameType: readonly string[]): boolean {
  return (
    [...dataset.texts(TAG.imageType), ...frameType].some((value) => REFORMATS.test(value)) ||
    REFORMAT_WORDS.test(dataset.text(TAG.seriesDescription)?.replaceAll('_', ' ') ?? '')
  );
}
