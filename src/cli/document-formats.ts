import type { DocumentFormat } from '../conf/emulator-document.ts'

/** Layouts of the capability document that can be printed. */
export const documentFormats = ['9.0.0', '11.3.0'] as const satisfies readonly DocumentFormat[]
