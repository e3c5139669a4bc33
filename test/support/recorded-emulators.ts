import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import type { AskEmulator } from '../../src/qemu/interview-emulator.ts'
import type { ProbeConversation } from '../../src/qemu/probe-conversation.ts'
import { QmpError } from '../../src/qemu/qmp-error.ts'

/** Emulators of Debian 12 whose conversations are kept: one with KVM, three of the smallest. */
export const recordedEmulators = ['x86_64-kvm', 'avr', 'microblaze', 'or1k'] as const

/** A recorded conversation with an emulator of Debian 12. */
export function recordingOf(name: (typeof recordedEmulators)[number]): string {
  const url = new URL(`../../fixtures/qmp/qemu-7.2.22-debian-${name}.replies.gz`, import.meta.url)
  return gunzipSync(readFileSync(url)).toString('utf8')
}

/** Answers out of a section of a conversation, in whichever order, and keeps what was asked as `command arguments`. */
export function answerFrom(
  conversation: ProbeConversation,
  { section, asked }: { readonly section: number; readonly asked: string[] },
): AskEmulator {
  return async (command, args = {}) => {
    asked.push(`${command} ${JSON.stringify(args)}`)
    const answer = conversation.answer(section, { command, args })
    if (answer === undefined) throw new Error(`Cannot answer ${asked.at(-1) ?? ''}: it was not recorded`)
    if (answer.kind === 'error') throw new QmpError(command, answer)
    return answer.value
  }
}

/** The questions of a section as they were recorded, without the first, which the connection itself asks. */
export function questionsOf(conversation: ProbeConversation, section: number): readonly string[] {
  const exchanges = conversation.sections[section] ?? []
  return exchanges.slice(1).map(({ command, args }) => `${command} ${JSON.stringify(args)}`)
}
