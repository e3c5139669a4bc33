import type { DiskLayer } from '../driver/driver.ts'
import type { TestJob } from './test-machine.ts'

/**
 * A disk's chain after a job that ended well, active image first. pull: base becomes the backing of top, or the chain ends there;
 * commit: what stood on top stands on base; active commit: base is the disk.
 */
export function chainAfterJob(layers: readonly DiskLayer[], job: TestJob): readonly DiskLayer[] {
  const topAt = layers.findIndex((layer) => layer.index === job.topIndex)
  const baseAt = job.baseIndex === null ? layers.length : layers.findIndex((layer) => layer.index === job.baseIndex)
  const above = layers.slice(0, job.kind === 'pull' ? topAt + 1 : topAt)
  return [...above, ...layers.slice(baseAt)]
}
