"""Speaks QMP as badly as its first argument tells."""
import json
import socket
import sys
import time

mode = sys.argv[1]
arguments = sys.argv[2:]
path = arguments[arguments.index('-qmp') + 1].split(':', 1)[1].split(',')[0]
version = {'qemu': {'micro': 22, 'minor': 2, 'major': 7}, 'package': ''}
greeting = json.dumps({'QMP': {'version': version, 'capabilities': []}}) + '\r\n'

if mode == 'exit':
    print('the machine is on fire', file=sys.stderr)
    sys.exit(7)

if mode == 'greedy':
    hoard = bytearray(16 << 30)
if mode == 'verbose':
    while True:
        sys.stdout.write('la ' * 100000)

server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(1)
client, _ = server.accept()
if mode == 'hang':
    time.sleep(60)
if mode == 'garbage':
    client.sendall(b'\xff\xfe this is not QMP\r\n')
    time.sleep(60)
if mode == 'half':
    client.sendall(greeting[:20].encode())
    client.close()
    time.sleep(60)
if mode == 'long':
    try:
        for _ in range(64):
            client.sendall(b'x' * (1 << 20))
    except OSError:
        pass
    time.sleep(60)
client.sendall(greeting.encode())
for line in client.makefile():
    message = json.loads(line)
    command, answer = message['execute'], {'id': message['id']}
    if mode == 'mute' and command != 'qmp_capabilities':
        time.sleep(60)
    if command == 'qmp_capabilities':
        answer['return'] = {}
    elif mode == 'error':
        answer['error'] = {'class': 'NeverHeardOf', 'desc': 'no'}
    elif command == 'query-version':
        answer['return'] = {'qemu': {'micro': 9, 'minor': 9, 'major': 9}, 'package': ''}
    elif command == 'query-target':
        answer['return'] = {'arch': 'avr'}
    elif command == 'query-machines':
        answer['return'] = [{'name': 'none', 'cpu-max': 1}]
    else:
        answer['return'] = []
    client.sendall((json.dumps(answer) + '\r\n').encode())
