import type { LabelName } from '../labels.js';
import type { Code } from './encode-nested.js';

/** How a type is said in SNOMED CT: what it is, where it is, and of what kind. */
export interface FindingCodes {
  readonly category: Code;
  readonly type: Code;
  readonly region: Code;
  readonly modifier?: Code;
}

const sct = (value: string, meaning: string): Code => ({ value, scheme: 'SCT', meaning });

const ABNORMAL = sct('49755003', 'Morphologically Abnormal Structure');
const HEMORRHAGE = sct('50960005', 'Hemorrhage');
const SUBDURAL_SPACE = sct('7851002', 'Intracranial subdural space');

/**
 * The codes of each type, composed of what it is and where, since DICOM's context groups (CID 7150, 7159 and the anatomic
 * ones) have no single codes for them; the segment's label says the type's own name.
 */
export const FINDING_CODES: Readonly<Record<LabelName, FindingCodes>> = {
  ICH: { category: ABNORMAL, type: HEMORRHAGE, region: sct('12738006', 'Brain') },
  SDH: { category: ABNORMAL, type: HEMORRHAGE, region: SUBDURAL_SPACE },
  SAH: { category: ABNORMAL, type: HEMORRHAGE, region: sct('35951006', 'Subarachnoid space') },
  // Between the dura and the skull: the dura is the nearest structure that DICOM names.
  EDH: { category: ABNORMAL, type: HEMORRHAGE, region: sct('18545000', 'Dura mater') },
  CSDH: { category: ABNORMAL, type: HEMORRHAGE, region: SUBDURAL_SPACE, modifier: sct('90734009', 'Chronic') },
  Pneumocranium: {
    category: sct('91720002', 'Body Substance'),
    type: sct('74947009', 'Gas'),
    region: sct('1101003', 'Intracranial'),
  },
  IVH: { category: ABNORMAL, type: HEMORRHAGE, region: sct('35764002', 'Brain ventricle') },
};
