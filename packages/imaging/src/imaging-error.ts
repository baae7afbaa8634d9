/** What kind of refusal an {@link ImagingError} is. */
export type ImagingErrorCode =
  | 'bad-argument'
  | 'not-nifti'
  | 'bad-nifti'
  | 'not-dicom'
  | 'bad-archive'
  | 'changed'
  | 'bad-dicom'
  | 'compressed-dicom'
  | 'unsupported'
  | 'no-axial-series'
  | 'too-large'
  | 'truncated';

/** A refusal in one sentence: what was expected, what was found, what to do; `code` is for programs. */
export class ImagingError extends Error {
  override readonly name = 'ImagingError';

  constructor(
    readonly code: ImagingErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
