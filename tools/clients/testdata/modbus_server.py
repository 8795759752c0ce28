"""A Modbus server by pymodbus: python3 modbus_server.py tcp|rtu

At address n holding registers hold 100+n, input registers 200+n, coils and discrete
inputs whether n is odd, in every unit. It prints its port."""
import asyncio
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server.async_io import ModbusTcpServer
from pymodbus.transaction import ModbusRtuFramer, ModbusSocketFramer


def block(values):
    return ModbusSequentialDataBlock(0, values)


async def main():
    slave = ModbusSlaveContext(
        hr=block([100 + n for n in range(50)]), ir=block([200 + n for n in range(50)]),
        co=block([n % 2 for n in range(50)]), di=block([n % 2 for n in range(50)]), zero_mode=True)
    framer = ModbusRtuFramer if sys.argv[1] == "rtu" else ModbusSocketFramer
    server = ModbusTcpServer(ModbusServerContext(slaves=slave, single=True), framer=framer, address=("127.0.0.1", 0))
    serve = asyncio.create_task(server.serve_forever())
    await server.serving
    print("port", server.server.sockets[0].getsockname()[1], flush=True)
    await serve


asyncio.run(main())
