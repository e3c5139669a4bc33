import {
  type CommandLineFamily,
  type CommandLineRequest,
  device,
  isI440fx,
  isQ35,
  optionsOnly,
  optionText,
  timerOf,
  unsupported,
} from './command-line-parts.ts'

/** Name, UUID, monitor, pid file and what keeps QEMU in its place. */
export const processFamily: CommandLineFamily = ({ name, uuid, caps, paths }) => {
  const sandbox = { obsolete: 'deny', elevateprivileges: 'deny', spawn: 'deny', resourcecontrol: 'deny' }
  const guest = optionText('', { guest: name, 'debug-threads': true })
  const monitor = optionText('socket', { id: 'charmonitor', path: paths.monitor, server: true, wait: false })
  return optionsOnly(
    [
      ['-name', guest],
      ['-S'],
      ['-uuid', uuid],
      ['-no-user-config', '-nodefaults'],
      caps.flags.has('seccomp-sandbox') ? ['-sandbox', optionText('on', sandbox)] : [],
      ['-msg', 'timestamp=on'],
      ['-pidfile', paths.pidFile],
      ['-chardev', monitor],
      ['-mon', 'chardev=charmonitor,id=monitor,mode=control'],
    ].flat(),
  )
}

/** `-machine`: the board and its switches. */
export const machineFamily: CommandLineFamily = ({ definition, accelerator }) => {
  const { features, clock, os } = definition
  if (os.type.machine === undefined) throw unsupported('os/type', 'no machine type is stated')
  if (os.firmware === 'efi') throw unsupported('os', 'firmware "efi" is not supported, only bios is')
  for (const name of ['viridian', 'privnet'] as const) {
    if (features?.[name] === true) throw unsupported(`features/${name}`, 'it is not supported')
  }
  const pc = isQ35(definition) || isI440fx(definition)
  const machine = optionText(os.type.machine, {
    accel: accelerator,
    usb: false,
    'dump-guest-core': false,
    vmport: pc ? features?.vmport?.state : undefined,
    smm: pc ? features?.smm?.state : undefined,
    i8042: pc ? features?.ps2?.state : undefined,
    hpet: pc ? (timerOf(clock, 'hpet')?.present ?? undefined) : undefined,
    acpi: pc ? features?.acpi === true : undefined,
    'gic-version': features?.gic?.version,
  })
  const vmcoreinfo = features?.vmcoreinfo !== undefined && features.vmcoreinfo.state !== false
  return { options: ['-machine', machine], devices: vmcoreinfo ? [device('vmcoreinfo', {})] : [] }
}

/** Memory and CPUs. */
export const sizeFamily: CommandLineFamily = ({ definition, caps }) => {
  const { memory, vcpu, cpu } = definition
  const topology = cpu?.topology
  const clusters = topology?.clusters ?? 1
  if (clusters > 1 && !caps.flags.has('smp-clusters'))
    throw unsupported('cpu/topology', `${clusters} clusters are not supported`)
  const { current = vcpu.count } = vcpu
  const smp = optionText(String(current), {
    maxcpus: current === vcpu.count ? undefined : vcpu.count,
    sockets: topology?.sockets ?? vcpu.count,
    dies: (topology?.dies ?? 1) > 1 ? topology?.dies : undefined,
    clusters: clusters > 1 ? clusters : undefined,
    cores: topology?.cores ?? 1,
    threads: topology?.threads ?? 1,
  })
  return optionsOnly(['-m', optionText('', { size: `${memory.kib}k` }), '-overcommit', 'mem-lock=off', '-smp', smp])
}

/** What is booted: a kernel given directly, or devices in their order (which stand on the devices as `bootindex`). */
export const bootFamily: CommandLineFamily = ({ definition: { os } }) => {
  const { bootMenu } = os
  const direct = [
    ...(os.kernel === undefined ? [] : ['-kernel', os.kernel]),
    ...(os.initrd === undefined ? [] : ['-initrd', os.initrd]),
    ...(os.cmdline === undefined ? [] : ['-append', os.cmdline]),
    ...(os.dtb === undefined ? [] : ['-dtb', os.dtb]),
  ]
  const menu = { menu: bootMenu?.enable, 'splash-time': bootMenu?.enable === true ? bootMenu.timeoutMs : undefined }
  return optionsOnly([...direct, '-boot', optionText('', { ...menu, strict: true })])
}

const eventActions = { restart: undefined, destroy: 'shutdown', 'rename-restart': null, preserve: null } as const

/** What happens when the guest powers off, reboots or panics. */
export const actionFamily: CommandLineFamily = ({ definition }) => {
  const { onPoweroff, onReboot, onCrash, devices } = definition
  if (onPoweroff !== 'destroy') throw unsupported('on_poweroff', `"${onPoweroff}" is not supported, it must be destroy`)
  const reboot = eventActions[onReboot]
  if (reboot === null) throw unsupported('on_reboot', `"${onReboot}" is not supported, it must be restart or destroy`)
  const panic = onCrash === 'destroy' ? 'shutdown' : onCrash === 'preserve' ? 'pause' : null
  // Without a device that reports panics the guest has no way to ask for the action.
  if (panic === null && devices.panics.length > 0) {
    throw unsupported('on_crash', `"${onCrash}" is not supported with a panic device, it must be destroy or preserve`)
  }
  const actions = { reboot, panic: panic === null || devices.panics.length === 0 ? undefined : panic }
  const text = optionText('', actions)
  return optionsOnly(text === '' ? [] : ['-action', text])
}

/** Clock, timers and sleep states. */
export const clockFamily: CommandLineFamily = (request) => {
  const { definition } = request
  const { clock, pm } = definition
  if (timerOf(clock, 'platform') !== undefined) throw unsupported('clock/timer', 'timer "platform" is not supported')
  const rtc = timerOf(clock, 'rtc')
  const pit = timerOf(clock, 'pit')?.tickPolicy
  if (pit === 'merge') throw unsupported('clock/timer', 'tick policy "merge" of timer "pit" is not supported')
  const options = [
    '-rtc',
    optionText('', { base: rtcBase(request), driftfix: rtc?.tickPolicy === 'catchup' ? 'slew' : undefined }),
  ]
  // "catchup" would need a PIT that QEMU emulates itself; KVM's delays or discards.
  if ((pit === 'delay' || pit === 'discard') && request.accelerator === 'kvm') {
    options.push('-global', `kvm-pit.lost_tick_policy=${pit}`)
  }
  const chip = isQ35(definition) ? 'ICH9-LPC' : isI440fx(definition) ? 'PIIX4_PM' : null
  for (const [property, state] of [
    ['disable_s3', pm?.suspendToMem],
    ['disable_s4', pm?.suspendToDisk],
  ] as const) {
    if (state?.enabled !== undefined && chip !== null)
      options.push('-global', `${chip}.${property}=${state.enabled ? 0 : 1}`)
  }
  return optionsOnly(options)
}

function rtcBase({ definition: { clock }, nowMs }: CommandLineRequest): string {
  switch (clock.offset) {
    case 'utc':
    case 'localtime':
      return clock.offset
    case 'variable': {
      const seconds = Number(clock.adjustment ?? '0')
      if (!Number.isSafeInteger(seconds))
        throw unsupported('clock', `adjustment "${clock.adjustment}" is not a number of seconds`)
      if (clock.basis === 'localtime') return rtcText(localAsUtcMs(nowMs) + seconds * 1000)
      return rtcText(nowMs + seconds * 1000)
    }
    case 'absolute': {
      const seconds = Number(clock.start ?? 'none')
      if (!Number.isSafeInteger(seconds))
        throw unsupported('clock', `start "${clock.start ?? ''}" is not a number of seconds`)
      return rtcText(seconds * 1000)
    }
    case 'timezone':
      throw unsupported('clock', 'offset "timezone" is not supported')
  }
}

function localAsUtcMs(nowMs: number): number {
  return nowMs - new Date(nowMs).getTimezoneOffset() * 60_000
}

function rtcText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19)
}
