import { corporaMain } from './corpora-main.ts'
import { storyMain } from './story-main.ts'

const [first, ...others] = process.argv.slice(2)
process.exitCode = first === 'story' ? await storyMain(others) : corporaMain(process.argv.slice(2))
