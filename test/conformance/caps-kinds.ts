import * as v from 'valibot'
import type { DocumentFormat } from '../../src/conf/emulator-document.ts'
import { formatEmulatorDocument } from '../../src/conf/format-emulator-document.ts'
import { deriveDocument } from '../../src/qemu/derive-document.ts'
import { ProbeConversation } from '../../src/qemu/probe-conversation.ts'
import { type Kind, sameText } from './assertion.ts'

const probeCase = v.object({
  replies: v.string(),
  expected: v.string(),
  binary: v.string(),
  libvirtFormat: v.picklist(['9.0.0', '11.3.0'] satisfies DocumentFormat[]),
  fixed: v.object({
    qemuctime: v.number(),
    selfctime: v.number(),
    selfvers: v.number(),
    microcodeVersion: v.number(),
    hvfProbe: v.boolean(),
  }),
})

/** A recorded conversation gives the capability document, byte for byte. */
export const repliesToDocument: Kind = (of, corpora) => {
  const { replies, expected, binary, libvirtFormat, fixed } = v.parse(probeCase, of.stated)
  const document = deriveDocument(ProbeConversation.parse(corpora.readText(of, replies)), {
    emulator: binary,
    emulatorChangedS: BigInt(fixed.qemuctime),
    daemonChangedS: BigInt(fixed.selfctime),
    daemonVersion: fixed.selfvers,
    microcodeVersion: fixed.microcodeVersion,
    hasHvf: fixed.hvfProbe,
    format: libvirtFormat,
  })
  return [sameText(formatEmulatorDocument(document, libvirtFormat), corpora.readText(of, expected))]
}
