import * as v from 'valibot'

/** States of a job as QEMU names them. */
export const hypervisorJobStatus = v.picklist([
  'created',
  'running',
  'paused',
  'ready',
  'standby',
  'waiting',
  'pending',
  'aborting',
  'concluded',
  'null',
])
