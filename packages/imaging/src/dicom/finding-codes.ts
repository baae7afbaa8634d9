import type { LabelName } from '../labels.js';
import { PRIVATE_SCHEME, type Code } from './encode-nested.js';

/** How a type is said in codes: what it is, where it is, and of what kind. */
export interface FindingCodes {
  readonly category: Code;
  readonly type: Code;
  readonly region: Code;
  readonly modifier?: Code;
}

const sct = (value: string, meaning: string): Code => ({ value, scheme: 'SCT', meaning });

const ABNORMAL = sct('49755003', 'Morphologically Abnormal Structure');
const HEMORRHAGE = sct('50960005', 'Hemorrhage');
const own = (value: string, meaning: string): Code => ({ value, scheme: PRIVATE_SCHEME, meaning });
const SUBDURAL_SPACE = own('subdural-space', 'Intracranial subdural space');

/**
 * The codes of each type, composed of what it is and where, since DICOM's context groups have no single codes for them; the
 * segment's label says the type's own name. Every SNOMED CT code is one that DICOM PS3.16 lists: categories from CID 7150,
 * types from CID 7151 and 7159, regions from CID 7140 and 7151, the course from CID 6130. The spaces on either side of the
 * dura have none there and are codes of our own.
 */
export const FINDING_CODES: Readonly<Record<LabelName, FindingCodes>> = {
  ICH: { category: ABNORMAL, type: HEMORRHAGE, region: sct('12738006', 'Brain') },
  SDH: { category: ABNORMAL, type: HEMORRHAGE, region: SUBDURAL_SPACE },
  SAH: { category: ABNORMAL, type: HEMORRHAGE, region: sct('35951006', 'Subarachnoid space') },
  EDH: { category: ABNORMAL, type: HEMORRHAGE, region: own('epidural-space', 'Intracranial epidural space') },
  CSDH: { category: ABNORMAL, type: HEMORRHAGE, region: SUBDURAL_SPACE, modifier: sct('90734009', 'Chronic') },
  Pneumocranium: {
    category: sct('91720002', 'Body Substance'),
    type: sct('74947009', 'Gas'),
    region: sct('1101003', 'Cranial Cavity'),
  },
  IVH: { category: ABNORMAL, type: HEMORRHAGE, region: sct('35764002', 'Brain ventricle') },
};
