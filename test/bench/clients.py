#!/usr/bin/python3
"""Clients of a daemon that speaks libvirt's protocol; both sides of a bench see these same ones.

  clients.py run URI CALL CLIENTS SECONDS TYPE   CLIENTS processes repeat CALL; prints one JSON object
  clients.py fill URI COUNT TYPE                 defines COUNT domains
  clients.py clear URI                           undefines every domain that this program has made
  clients.py wait URI [CALL]                     prints "ready", then the monotonic time in ns of the first answered CALL (list)
  clients.py time URI CALL                       makes one CALL; prints how long it took, in ms
"""
import json
import multiprocessing
import os
import sys
import time
import uuid

import libvirt

libvirt.registerErrorHandler(lambda _context, _error: None, None)
NAMESPACE = uuid.UUID("b7a0a4b2-9d3e-4a53-8a52-6f2f6f3f9a10")
PREFIX = "bench-"


def definition(name, virt_type, number):
    """A domain as orchestrators write them: four disks, three NICs; it is only defined, so its files need not exist."""
    disks = "".join(
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none' io='native' discard='unmap'/>"
        f"<source file='/var/tmp/bench-images/{name}-{at}.qcow2'/><target dev='vd{chr(97 + at)}' bus='virtio'/>"
        f"<serial>BENCH{at:02d}</serial>{'<boot order=' + chr(39) + '1' + chr(39) + '/>' if at == 0 else ''}</disk>"
        for at in range(4)
    )
    nics = "".join(
        f"<interface type='user'><mac address='52:54:00:{number >> 8 & 255:02x}:{number & 255:02x}:{at:02x}'/><model type='virtio'/></interface>"
        for at in range(3)
    )
    return f"""<domain type='{virt_type}'><name>{name}</name><uuid>{uuid.uuid5(NAMESPACE, name)}</uuid>
<title>bench {name}</title><description>a realistic definition</description>
<metadata><b:instance xmlns:b='https://example.org/bench/1'><b:owner>{name}</b:owner><b:flavor>large</b:flavor></b:instance></metadata>
<memory unit='KiB'>4194304</memory><currentMemory unit='KiB'>4194304</currentMemory><vcpu placement='static'>4</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/><apic/></features>
<clock offset='utc'><timer name='pit' tickpolicy='delay'/><timer name='rtc' tickpolicy='catchup'/><timer name='hpet' present='no'/></clock>
<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{disks}{nics}
<serial type='pty'><target port='0'/></serial><console type='pty'><target type='serial' port='0'/></console>
<input type='tablet' bus='usb'/><graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>
<video><model type='virtio'/></video><memballoon model='virtio'><stats period='10'/></memballoon>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices></domain>"""


def lookup(conn, client):
    names = sorted(domain.name() for domain in conn.listAllDomains() if domain.name().startswith(PREFIX + "f"))
    return conn.lookupByName(names[client % len(names)])


def make_list(conn, _client, _virt_type):
    return conn.listAllDomains


def make_dumpxml(conn, client, _virt_type):
    return lookup(conn, client).XMLDesc


def make_dominfo(conn, client, _virt_type):
    """The calls of `virsh dominfo` that every driver serves."""
    domain = lookup(conn, client)
    return lambda: (domain.OSType(), domain.info(), domain.isPersistent(), domain.autostart(), domain.hasManagedSaveImage())


def make_define(conn, client, virt_type):
    text = definition(f"{PREFIX}d{client:03d}", virt_type, 20_000 + client)
    return lambda: conn.defineXML(text).undefine()


def make_domcapabilities(conn, _client, virt_type):
    return lambda: conn.getDomainCapabilities("/usr/bin/qemu-system-x86_64", "x86_64", None, virt_type)


def make_capabilities(conn, _client, _virt_type):
    return conn.getCapabilities


CALLS = {"domcapabilities": make_domcapabilities, "capabilities": make_capabilities, "list": make_list, "dumpxml": make_dumpxml, "dominfo": make_dominfo, "define": make_define}


def client(uri, call, number, seconds, virt_type, barrier, pipe):
    try:
        conn = libvirt.open(uri)
        work = CALLS[call](conn, number, virt_type)
        work()
        work()
    except libvirt.libvirtError as error:
        barrier.wait()
        pipe.send({"error": str(error)})
        return
    barrier.wait()
    times, errors, error_text = [], 0, None
    began = now = time.monotonic()
    while now - began < seconds:
        try:
            work()
        except libvirt.libvirtError as error:
            errors, error_text = errors + 1, str(error)
            if errors > 20:
                break
        then, now = now, time.monotonic()
        times.append(now - then)
    pipe.send({"began": began, "ended": now, "times": times, "errors": errors, "error": error_text})


def run(uri, call, count, seconds, virt_type):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)
    pipes, processes = [], []
    for number in range(count):
        reader, writer = context.Pipe(False)
        process = context.Process(target=client, args=(uri, call, number, seconds, virt_type, barrier, writer), daemon=True)
        process.start()
        pipes.append(reader)
        processes.append(process)
    answers = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join(20)
    failed = [answer["error"] for answer in answers if answer.get("error")]
    done = [answer for answer in answers if "times" in answer]
    times = sorted(duration for answer in done for duration in answer["times"])
    if not times:
        return {"calls": 0, "perSecond": 0, "p50Us": 0, "p99Us": 0, "error": failed[0] if failed else "no calls"}
    wall = max(answer["ended"] for answer in done) - min(answer["began"] for answer in done)
    return {
        "calls": len(times),
        "perSecond": len(times) / wall,
        "p50Us": times[len(times) // 2] * 1e6,
        "p99Us": times[min(len(times) - 1, len(times) * 99 // 100)] * 1e6,
        "error": failed[0] if failed else None,
    }


def fill(uri, count, virt_type):
    conn = libvirt.open(uri)
    for number in range(count):
        conn.defineXML(definition(f"{PREFIX}f{number:04d}", virt_type, number))


def clear(uri):
    for domain in libvirt.open(uri).listAllDomains():
        if domain.name().startswith(PREFIX):
            domain.undefine()


def wait(uri, call="list"):
    print("ready", flush=True)
    path = uri.split("socket=")[1].split("&")[0]
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if os.path.exists(path):
            try:
                CALLS[call](libvirt.open(uri), 0, None)()
                print(time.monotonic_ns(), flush=True)
                return
            except libvirt.libvirtError:
                pass
        time.sleep(0.001)
    sys.exit("nobody answered for 60 s")


def time_once(uri, call):
    work = CALLS[call](libvirt.open(uri), 0, None)
    began = time.monotonic()
    work()
    print((time.monotonic() - began) * 1e3)


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    if verb == "run":
        print(json.dumps(run(words[0], words[1], int(words[2]), float(words[3]), words[4])))
    elif verb == "fill":
        fill(words[0], int(words[1]), words[2])
    elif verb == "clear":
        clear(words[0])
    elif verb == "wait":
        wait(*words)
    elif verb == "time":
        time_once(*words)
    else:
        sys.exit(__doc__)
