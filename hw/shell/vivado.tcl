# Bitstream and hardware handoff with Vivado: the only step of the project that needs it. Not tried in Vivado; the tests run
# this file against a recorder of the commands that it uses.
#
#   vivado -mode batch -source hw/shell/vivado.tcl -tclargs FILES PART CLOCK_MHZ BOARD OUT
#
# FILES names one file per line: SystemVerilog and Verilog sources (packages first).
# The block design is the Zynq's processing system, the accelerator as gatefold_0, and the interconnects between
# them: M_AXI_GP0 to the registers at 0x43C0_0000, the DMA to S_AXI_HP0, the interrupt to IRQF2P[0].
# BOARD is pynq-z1, pynq-z2 or zedboard; presets.tcl has its memory and pins, so that no board files are needed.
# Writes OUT/accelerator.bit and OUT/accelerator.hwh; timing.txt, utilization.txt and utilization_units.txt beside them, also where
# the clock is missed: then no bitstream is left, the slack and its path are named, and the exit code is 1.

if {$argc != 5} {
    puts stderr "usage: vivado -mode batch -source vivado.tcl -tclargs FILES PART CLOCK_MHZ BOARD OUT"
    exit 2
}
lassign $argv list_file part clock_mhz board out
source [file join [file dirname [info script]] presets.tcl]
if {[catch {preset $board} settings]} {
    puts stderr "gatefold: $settings."
    exit 2
}
file mkdir $out
file delete -force $out/accelerator.bit

create_project -force -part $part accelerator $out/project
set channel [open $list_file]
foreach file [split [string trim [read $channel]] "\n"] {
    if {[file extension $file] eq ".sv"} {
        read_verilog -sv $file
    } else {
        read_verilog $file
    }
}
close $channel
set_property verilog_define {SYNTHESIS=1} [current_fileset]
update_compile_order -fileset sources_1

create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 processing_system7_0]
set properties {}
foreach {name value} [concat $settings {
    USE_M_AXI_GP0 1 USE_S_AXI_HP0 1 S_AXI_HP0_DATA_WIDTH 64 EN_CLK0_PORT 1 EN_RST0_PORT 1
    USE_FABRIC_INTERRUPT 1 IRQ_F2P_INTR 1
} [list FPGA0_PERIPHERAL_FREQMHZ $clock_mhz]] {
    lappend properties CONFIG.PCW_$name $value
}
set_property -dict $properties $ps
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
    -config {make_external "FIXED_IO, DDR" apply_board_preset 0} $ps

create_bd_cell -type module -reference gatefold_block gatefold_0
set reset [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset_0]
foreach name {registers memory} {
    set cell [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect $name]
    set_property -dict {CONFIG.NUM_SI 1 CONFIG.NUM_MI 1} $cell
}

set clock [get_bd_pins processing_system7_0/FCLK_CLK0]
connect_bd_net $clock [get_bd_pins {
    gatefold_0/ap_clk reset_0/slowest_sync_clk registers/aclk memory/aclk
    processing_system7_0/M_AXI_GP0_ACLK processing_system7_0/S_AXI_HP0_ACLK
}]
connect_bd_net [get_bd_pins processing_system7_0/FCLK_RESET0_N] [get_bd_pins reset_0/ext_reset_in]
connect_bd_net [get_bd_pins reset_0/peripheral_aresetn] [get_bd_pins {gatefold_0/ap_rst_n registers/aresetn memory/aresetn}]
connect_bd_intf_net [get_bd_intf_pins processing_system7_0/M_AXI_GP0] [get_bd_intf_pins registers/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins registers/M00_AXI] [get_bd_intf_pins gatefold_0/s_axi_control]
connect_bd_intf_net [get_bd_intf_pins gatefold_0/m_axi] [get_bd_intf_pins memory/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins memory/M00_AXI] [get_bd_intf_pins processing_system7_0/S_AXI_HP0]
connect_bd_net [get_bd_pins gatefold_0/irq] [get_bd_pins processing_system7_0/IRQ_F2P]

assign_bd_address -offset 0x43C00000 -range 64K -target_address_space [get_bd_addr_spaces processing_system7_0/Data] \
    [get_bd_addr_segs gatefold_0/s_axi_control/reg0]
assign_bd_address
validate_bd_design
save_bd_design

make_wrapper -files [get_files system.bd] -top -import
set_property top system_wrapper [current_fileset]
generate_target all [get_files system.bd]

launch_runs impl_1 -to_step write_bitstream -jobs 2
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
    puts stderr "gatefold: Vivado did not finish ([get_property STATUS [get_runs impl_1]]); look into $out/project/accelerator.runs."
    exit 1
}
open_run impl_1
report_timing_summary -max_paths 10 -file $out/timing.txt
report_utilization -file $out/utilization.txt
report_utilization -hierarchical -file $out/utilization_units.txt
set path [lindex [get_timing_paths -setup -max_paths 1] 0]
set slack [get_property SLACK $path]
if {$slack < 0} {
    puts stderr "gatefold: the design misses $clock_mhz MHz by [format %.3f [expr {-$slack}]] ns, from\
        [get_property STARTPOINT_PIN $path] to [get_property ENDPOINT_PIN $path] ([get_property LOGIC_LEVELS $path] levels of logic);\
        build for a lower clock (details: $out/timing.txt)."
    exit 1
}

# The top of the design and the project differ in name, so the files are searched by their kind.
proc only {what patterns} {
    set found [glob -nocomplain {*}$patterns]
    if {[llength $found] != 1} {
        puts stderr "gatefold: Vivado wrote [llength $found] $what where one was expected ([join $patterns { or }])."
        exit 1
    }
    return [lindex $found 0]
}
set handoff [only "hardware handoffs" [list $out/project/accelerator.gen/sources_1/bd/system/hw_handoff/*.hwh \
    $out/project/accelerator.srcs/sources_1/bd/system/hw_handoff/*.hwh]]
set bitstream [only bitstreams [list [get_property DIRECTORY [get_runs impl_1]]/*.bit]]
file copy -force $handoff $out/accelerator.hwh
file copy -force $bitstream $out/accelerator.bit
puts "gatefold: $out/accelerator.bit, slack $slack ns at $clock_mhz MHz"
