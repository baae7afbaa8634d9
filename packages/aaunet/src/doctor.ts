export interface DoctorCheck {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'problem';
  readonly found: string;
  /** What to do about it; empty where nothing need be done. */
  readonly remedy: string;
}

/** What this machine has, and how to mend what is missing. */
export function doctor(): Promise<DoctorCheck[]> {
  return Promise.reject(new Error('The doctor is not part of this build.'));
}
