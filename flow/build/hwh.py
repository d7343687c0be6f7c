"""The hardware handoff (.hwh) of the accelerator: what PYNQ reads to find registers, clock and memory port.

Format: the XML that Vivado exports of a block design, reduced to what `pynqmetadata`'s HwhFrontend reads. The design
is a Zynq-7000 processing system (M_AXI_GP0 to the registers, S_AXI_HP0 from the DMA, FCLK_CLK0) and the
accelerator. Source: the address map of UG585, table 4-1: M_AXI_GP0 is 0x4000_0000 to 0x7FFF_FFFF.
"""

import xml.etree.ElementTree as xml
from pathlib import Path

from flow.engine.boards import IO_PLL_MHZ, clock_dividers
from flow.engine.interface import load_interface

INSTANCE = "gatefold_0"
VLNV = "gatefold:gatefold:gatefold_top:1.0"
BASE_ADDRESS = 0x43C0_0000
ADDRESS_RANGE = 0x1_0000
DDR_HIGH = 0x1FFF_FFFF  # 512 MiB, all three boards
PS = "processing_system7_0"
AXIMM = "xilinx.com:interface:aximm:1.0"
_ACCESS = {"ro": "read-only", "rw": "read-write", "wo": "write-only"}


def write_hwh(path: str | Path, *, part: str = "xc7z020clg400-1", clock_mhz: float = 100.0) -> None:
    """Write the hardware handoff of the accelerator.

    Args:
        path: the .hwh file; PYNQ expects it beside the bitstream, with the same stem.
        part: full part name, e.g. "xc7z020clg400-1".
        clock_mhz: clock of the accelerator; the nearest one that the dividers of the PS can make is written.
    """
    system = xml.Element("EDKSYSTEM", EDWVERSION="1.2")
    device, (package, _, grade) = part[2:7], part[7:].partition("-")
    xml.SubElement(system, "SYSTEMINFO", ARCH="zynq", DEVICE=device, NAME="gatefold", PACKAGE=package, SPEEDGRADE=f"-{grade}")
    xml.SubElement(system, "EXTERNALPORTS")
    xml.SubElement(system, "EXTERNALINTERFACES")
    modules = xml.SubElement(system, "MODULES")
    _processing_system(modules, clock_mhz)
    _accelerator(modules)
    xml.indent(system)
    Path(path).write_text('<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(system, encoding="unicode") + "\n")


def _module(parent, instance, vlnv, **attributes):
    kind = vlnv.split(":")[2]
    return xml.SubElement(
        parent, "MODULE", FULLNAME=f"/{instance}", INSTANCE=instance, MODTYPE=kind, VLNV=vlnv, IPTYPE="PERIPHERAL", **attributes
    )


def _parameters(module, values):
    group = xml.SubElement(module, "PARAMETERS")
    for name, value in values.items():
        xml.SubElement(group, "PARAMETER", NAME=name, VALUE=str(value))


def _ports(module, ports):
    group = xml.SubElement(module, "PORTS")
    for name, direction, kind, signal, other in ports:
        port = xml.SubElement(group, "PORT", DIR=direction, NAME=name, SIGIS=kind, SIGNAME=signal)
        connection = xml.SubElement(port, "CONNECTIONS")
        xml.SubElement(connection, "CONNECTION", INSTANCE=other[0], PORT=other[1])


def _interfaces(module, interfaces):
    group = xml.SubElement(module, "BUSINTERFACES")
    for name, role, width in interfaces:
        interface = xml.SubElement(group, "BUSINTERFACE", NAME=name, TYPE=role, VLNV=AXIMM, DATAWIDTH=str(width))
        xml.SubElement(interface, "PARAMETER", NAME="DATA_WIDTH", VALUE=str(width))


def _memory_range(module, instance, block, low, high, master, slave, kind):
    ranges = module.find("MEMORYMAP")
    if ranges is None:
        ranges = xml.SubElement(module, "MEMORYMAP")
    xml.SubElement(
        ranges,
        "MEMRANGE",
        ADDRESSBLOCK=block,
        BASENAME="C_BASEADDR",
        BASEVALUE=f"0x{low:08X}",
        HIGHNAME="C_HIGHADDR",
        HIGHVALUE=f"0x{high:08X}",
        INSTANCE=instance,
        IS_DATA="TRUE",
        MASTERBUSINTERFACE=master,
        MEMTYPE=kind,
        SLAVEBUSINTERFACE=slave,
    )


def _processing_system(modules, clock_mhz):
    divisor0, divisor1 = clock_dividers(clock_mhz)
    module = _module(modules, PS, "xilinx.com:ip:processing_system7:5.5", IS_PL="FALSE")
    parameters = {
        "C_USE_M_AXI_GP0": 1,
        "C_USE_S_AXI_HP0": 1,
        "C_S_AXI_HP0_DATA_WIDTH": 64,
        "PCW_USE_M_AXI_GP0": 1,
        "PCW_USE_S_AXI_HP0": 1,
    }
    for index in range(4):
        used = index == 0
        parameters |= {
            f"PCW_FCLK{index}_PERIPHERAL_CLKSRC": "IO PLL",
            f"PCW_FCLK{index}_PERIPHERAL_DIVISOR0": divisor0 if used else 1,
            f"PCW_FCLK{index}_PERIPHERAL_DIVISOR1": divisor1 if used else 1,
            f"PCW_FPGA_FCLK{index}_ENABLE": int(used),
        }
    # PYNQ 4.0 looks for the achieved frequency under this name on every part, and sets FCLK_CLK0 to it at a download.
    parameters["PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ"] = IO_PLL_MHZ / (divisor0 * divisor1)
    _parameters(module, parameters)
    _ports(module, [("FCLK_CLK0", "O", "clk", "fclk_clk0", (INSTANCE, "ap_clk"))])
    _interfaces(module, [("M_AXI_GP0", "MASTER", 32), ("S_AXI_HP0", "SLAVE", 64)])
    _memory_range(
        module, INSTANCE, "reg0", BASE_ADDRESS, BASE_ADDRESS + ADDRESS_RANGE - 1, "M_AXI_GP0", "s_axi_control", "REGISTER"
    )


def _accelerator(modules):
    module = _module(modules, INSTANCE, VLNV, IS_PL="TRUE")
    blocks = xml.SubElement(module, "ADDRESSBLOCKS")
    block = xml.SubElement(blocks, "ADDRESSBLOCK", INTERFACE="s_axi_control", NAME="reg0", USAGE="register")
    registers = xml.SubElement(block, "REGISTERS")
    interface = load_interface()
    for name, offset in interface.registers.items():
        register = xml.SubElement(registers, "REGISTER", NAME=name)
        properties = {
            "DESCRIPTION": interface.description(name),
            "ADDRESS_OFFSET": offset,
            "SIZE": 32,
            "ACCESS": _ACCESS[interface.registers_doc[name][0]],
            "IS_ENABLED": "true",
            "RESET_VALUE": 0,
        }
        for key, value in properties.items():
            xml.SubElement(register, "PROPERTY", NAME=key, VALUE=str(value))
    _parameters(module, {"C_BASEADDR": f"0x{BASE_ADDRESS:08X}", "C_HIGHADDR": f"0x{BASE_ADDRESS + ADDRESS_RANGE - 1:08X}"})
    _ports(module, [("ap_clk", "I", "clk", "fclk_clk0", (PS, "FCLK_CLK0"))])
    _interfaces(module, [("s_axi_control", "SLAVE", 32), ("m_axi", "MASTER", 64)])
    _memory_range(module, PS, "HP0_DDR_LOWOCM", 0, DDR_HIGH, "m_axi", "S_AXI_HP0", "MEMORY")
