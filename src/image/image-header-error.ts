/** Rules that the first bytes of an image must keep; a refusal names one of them. */
export const headerRules = [
  'format_not_served', // a known image format that no reader here serves
  'format_unknown', // a name that is no image format
  'magic', // the file does not begin as its format must
  'truncated', // a field lies outside the bytes of the file
  'version',
  'cluster_bits',
  'header_length',
  'features', // an incompatible feature that this reader does not know
  'encryption_method',
  'compression_type',
  'refcount',
  'virtual_size',
  'l1_table',
  'snapshot_table',
  'extension', // a header extension is too long, cut off, doubled or malformed
  'backing_name',
  'data_file',
] as const

/** One of {@link headerRules}. */
export type HeaderRule = (typeof headerRules)[number]

/** Where an image broke a rule. */
export interface HeaderErrorPlace {
  readonly rule: HeaderRule
  /** Byte offset of the offending field in the file; null when the fault lies in no single field. */
  readonly offset: number | null
}

/**
 * The first bytes of an image break a rule of its format or one of our bounds. Callers put the path of the image in
 * front of the message; nothing of the image was used.
 */
export class ImageHeaderError extends Error {
  override readonly name = 'ImageHeaderError'
  readonly rule: HeaderRule
  readonly offset: number | null

  constructor(message: string, place: HeaderErrorPlace) {
    super(message)
    this.rule = place.rule
    this.offset = place.offset
  }
}
