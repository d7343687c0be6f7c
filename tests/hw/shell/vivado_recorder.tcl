# Stands where Vivado would: knows the commands that vivado.tcl uses with all their options (UG835), what must have happened before
# each, and enough of the block design to refuse a pin, property or connection that does not exist. Whatever it does not know fails.
#
#   recorder::start SCRIPT ARGUMENTS SCENARIO PROPERTIES
#
# runs the script, whose `exit` ends it and not the interpreter, and gives its exit code, 97 where a command failed (its message on standard error). SCENARIO is a dictionary: slack,
# progress, and the reports to leave (timing, utilization). PROPERTIES is the file of processing_system7's property names. The runs leave
# files where Vivado leaves them; recorder::log is a list of what was done.

namespace eval recorder {
    variable log {} state {} cells {} nets {} external {} addresses {} files {} properties {} scenario {} project {} options {}
    variable steps {opt_design power_opt_design place_design phys_opt_design route_design post_route_phys_opt_design write_bitstream}

    proc fail {message} { return -code error "vivado: $message" }
    proc note {args} { variable log; lappend log $args }
    proc done {what} { variable state; dict set state $what 1 }
    proc is {what} { variable state; return [dict exists $state $what] }

    # Define a command: its switches, its options with a value, fewest and most other arguments, what must be done before, and a
    # body that sees `given` (option -> value) and `others`.
    proc command {name switches options fewest most needs body} {
        proc body_$name {given others} $body
        proc ::$name {args} "recorder::call [list $name [concat $switches -quiet -verbose] $options $fewest $most $needs] \$args"
    }
    proc call {name switches options fewest most needs arguments} {
        set given {}
        set others {}
        for {set i 0} {$i < [llength $arguments]} {incr i} {
            set word [lindex $arguments $i]
            if {![regexp {^-[a-z_]+$} $word]} {
                lappend others $word
            } elseif {$word in $switches} {
                dict set given $word 1
            } elseif {$word ni $options} {
                fail "$name has no option $word"
            } elseif {[incr i] == [llength $arguments]} {
                fail "$name: $word lacks its value"
            } else {
                dict set given $word [lindex $arguments $i]
            }
        }
        if {[llength $others] < $fewest || [llength $others] > $most} {
            fail "$name takes $fewest to $most arguments, not [llength $others]: $others"
        }
        foreach need $needs {
            if {![is $need]} { fail "$name comes before $need" }
        }
        return [body_$name $given $others]
    }

    proc cell_of {name} {
        variable cells
        if {![dict exists $cells $name]} { fail "there is no cell $name in the block design" }
        return [dict get $cells $name]
    }
    proc setting {name property default} {
        set cell [cell_of $name]
        if {[dict exists $cell properties $property]} { return [dict get $cell properties $property] }
        return $default
    }
    proc ps {name property default} { return [setting $name CONFIG.PCW_$property $default] }

    # Pins of a cell: name -> {direction type}; interfaces: name -> master or slave.
    proc pins {name} {
        set cell [cell_of $name]
        switch [dict get $cell kind] {
            processing_system7 {
                set found {}
                foreach index {0 1 2 3} {
                    if {[ps $name EN_CLK${index}_PORT [expr {$index == 0}]]} { dict set found FCLK_CLK$index {O clk} }
                    if {[ps $name EN_RST${index}_PORT [expr {$index == 0}]]} { dict set found FCLK_RESET${index}_N {O rst} }
                    if {[ps $name USE_S_AXI_HP$index 0]} { dict set found S_AXI_HP${index}_ACLK {I clk} }
                }
                foreach index {0 1} {
                    if {[ps $name USE_M_AXI_GP$index [expr {$index == 0}]]} { dict set found M_AXI_GP${index}_ACLK {I clk} }
                }
                if {[ps $name USE_FABRIC_INTERRUPT 0] && [ps $name IRQ_F2P_INTR 0]} { dict set found IRQ_F2P {I intr} }
                return $found
            }
            proc_sys_reset {
                return {slowest_sync_clk {I clk} ext_reset_in {I rst} aux_reset_in {I optional} mb_debug_sys_rst {I optional}
                    dcm_locked {I optional} mb_reset {O rst} bus_struct_reset {O rst} peripheral_reset {O rst}
                    interconnect_aresetn {O rst} peripheral_aresetn {O rst}}
            }
            smartconnect { return {aclk {I clk} aresetn {I rst}} }
            default { return [dict get $cell pins] }
        }
    }
    proc interfaces {name} {
        set cell [cell_of $name]
        set found {}
        switch [dict get $cell kind] {
            processing_system7 {
                dict set found DDR master
                dict set found FIXED_IO master
                foreach index {0 1} { if {[ps $name USE_M_AXI_GP$index [expr {$index == 0}]]} { dict set found M_AXI_GP$index master } }
                foreach index {0 1 2 3} { if {[ps $name USE_S_AXI_HP$index 0]} { dict set found S_AXI_HP$index slave } }
            }
            proc_sys_reset {}
            smartconnect {
                foreach {count letter role} {NUM_SI S slave NUM_MI M master} {
                    for {set i 0} {$i < [setting $name CONFIG.$count [expr {$count eq "NUM_SI" ? 2 : 1}]]} {incr i} {
                        dict set found [format %s%02d_AXI $letter $i] $role
                    }
                }
            }
            default { set found [dict get $cell interfaces] }
        }
        return $found
    }

    proc find {what table path} {
        lassign [split $path /] name pin
        set known [$table $name]
        if {![dict exists $known $pin]} {
            fail "$name has no $what $pin; it has [join [dict keys $known] {, }]"
        }
        return [dict get $known $pin]
    }

    # Ports and AXI interfaces of a Verilog module, from its text.
    proc read_module {name} {
        variable files
        foreach file $files {
            set channel [open $file]
            set text [read $channel]
            close $channel
            if {![regexp "module\\s+$name\\M(.*)endmodule" $text -> body] || [file extension $file] ne ".v"} continue
            set pins {}
            set interfaces {}
            set named {}
            foreach line [split $body \n] {
                regexp {X_INTERFACE_INFO = "([^ "]+) (\S+) (\S+)"} $line -> kind interface signal
                if {[regexp {X_INTERFACE_INFO} $line]} { set named [list $kind $interface $signal] }
                if {[regexp {^\s*(input|output)\s+wire\s+(\[[^\]]*\]\s*)?(\w+)} $line -> direction width port]} {
                    set letter [expr {$direction eq "input" ? "I" : "O"}]
                    lassign $named kind interface signal
                    set type signal
                    if {[string match *:clock:* $kind]} { set type clk }
                    if {[string match *:reset:* $kind]} { set type rst }
                    if {[string match *:interrupt:* $kind]} { set type intr }
                    if {[string match *:aximm:* $kind]} {
                        set type bus
                        if {$signal eq "AWVALID"} { dict set interfaces $interface [expr {$letter eq "O" ? "master" : "slave"}] }
                    }
                    dict set pins $port [list $letter $type]
                    set named {}
                }
            }
            return [dict create kind module pins $pins interfaces $interfaces properties {}]
        }
        fail "no Verilog source in the project holds the module $name"
    }

    proc check_processing_system {name value} {
        variable known_properties
        if {![regexp {^CONFIG\.PCW_(\w+)$} $name -> short]} { fail "processing_system7 has no property $name" }
        if {![regexp [join $known_properties |] $short]} { fail "processing_system7 has no property $name" }
        foreach {pattern allowed} {
            {^APU_CLK_RATIO_ENABLE$} {^\d:\d:\d$}
            {_ENABLE$|^USE_|^EN_|_INTR$|_VALID$|DDR_TRAIN_|INTERNAL_VREF$} {^[01]$}
            {^(ENET\d_PERIPHERAL)_FREQMHZ$} {^10+ Mbps$}
            {FREQ_?MHZ$} {^-?\d+(\.\d+)?$}
            {DELAY_?\d$|DDR_T_} {^-?\d+(\.\d+)?$}
            {^GPIO_.*_IO$} {^(MIO|\d+)$}
            {_IO$} {^(EMIO|MIO \d+( \.\. \d+)?)$}
            {_DATA_WIDTH$} {^(32|64)$}
            {_VOLTAGE$|_IOTYPE$} {^(LVCMOS (1\.8|2\.5|3\.3)V|HSTL 1\.8V)$}
            {DDR_BUS_WIDTH$} {^(16|32) Bit$}
            {DDR_DRAM_WIDTH$} {^(8|16) Bits$}
            {DDR_MEMORY_TYPE$} {^(DDR 2|DDR 3|DDR 3 \(Low Voltage\)|LPDDR 2)$}
            {DDR_SPEED_BIN$} {^DDR[23]_\w+$}
            {_COUNT$|DDR_(BL|CL|CWL)$} {^\d+$}
        } {
            if {[regexp $pattern $short]} {
                if {![regexp $allowed $value]} { fail "processing_system7: $name cannot be '$value'" }
                break
            }
        }
        if {[regexp {^FPGA\d_PERIPHERAL_FREQMHZ$} $short] && ($value < 0.1 || $value > 250)} {
            fail "processing_system7: $name lies in 0.1 to 250, not at $value"
        }
    }

    # Two peripherals on one pin of the MIO.
    proc check_pins {name} {
        set used {}
        dict for {property value} [dict get [cell_of $name] properties] {
            if {![regexp {^CONFIG\.PCW_(\w+)_IO$} $property -> what] || ![regexp {^MIO (\d+)(?: \.\. (\d+))?$} $value -> first last]} continue
            if {$last eq ""} { set last $first }
            if {$last > 53} { fail "processing_system7: there is no MIO $last ($property)" }
            set group [lindex [split $what _] 0]
            for {set pin $first} {$pin <= $last} {incr pin} {
                if {[dict exists $used $pin] && [dict get $used $pin] ne $group} {
                    fail "processing_system7: MIO $pin is given to [dict get $used $pin] and to $group"
                }
                dict set used $pin $group
            }
        }
    }

    proc check_design {} {
        variable cells; variable nets; variable external; variable addresses
        dict for {name cell} $cells {
            if {[dict get $cell kind] eq "processing_system7"} {
                check_pins $name
                foreach port {DDR FIXED_IO} {
                    if {"$name/$port" ni $external} { fail "validate: $name/$port is not external" }
                }
                if {![dict exists $cell properties CONFIG.PCW_UIPARAM_DDR_PARTNO]} { fail "validate: $name knows no memory" }
            }
            dict for {pin about} [pins $name] {
                lassign $about direction type
                if {$direction eq "I" && $type in {clk rst} && ![dict exists $nets $name/$pin]} {
                    fail "validate: $name/$pin is not connected"
                }
            }
            dict for {interface role} [interfaces $name] {
                if {"$name/$interface" ni $external && ![dict exists $nets $name/$interface]} {
                    fail "validate: $name/$interface is not connected"
                }
            }
        }
        foreach segment {gatefold_0/s_axi_control/reg0} {
            if {![dict exists $addresses $segment]} { fail "validate: $segment has no address" }
        }
        if {![is "assign_bd_address of the rest"]} { fail "validate: the memory has no address in the accelerator's space" }
    }

    command create_project {-force -in_memory -ip -rtl_kernel} {-part} 0 2 {} {
        set ::recorder::project [lindex $others 1]
        if {![dict exists $given -part]} { fail "create_project: without -part the default part would be used" }
        if {![regexp {^xc7z020clg(400|484)-1$} [dict get $given -part]]} { fail "there is no part [dict get $given -part]" }
        file mkdir $::recorder::project
        recorder::note part [dict get $given -part]
        recorder::done create_project
        return project
    }
    foreach {name switches options} {read_verilog -sv -library} {
        command $name $switches $options 1 1000 create_project "
            foreach file \$others {
                if {!\[file isfile \$file\]} { fail \"$name: there is no file \$file\" }
                if {{$name} eq {read_verilog}} {
                    if {(\[file extension \$file\] eq {.sv}) != \[dict exists \$given -sv\]} { fail \"read_verilog: \$file with the wrong language\" }
                }
                lappend ::recorder::files \$file
                recorder::note {$name} \$file
            }
            recorder::done {reading the sources}
        "
    }
    command current_fileset {-simset -constrset} {} 0 1 create_project { return fileset:sources_1 }
    command current_project {} {} 0 1 create_project { return project }
    command update_compile_order {-force_gui} {-fileset} 0 0 {create_project {reading the sources}} {
        if {[dict exists $given -fileset] && [dict get $given -fileset] ne "sources_1"} { fail "there is no fileset [dict get $given -fileset]" }
        recorder::done update_compile_order
    }
    command create_bd_design {} {-dir -cell -bdsource} 1 1 create_project {
        recorder::done create_bd_design
        recorder::note design [lindex $others 0]
        set ::recorder::options [lindex $others 0]
        return [lindex $others 0]
    }
    command create_bd_cell {} {-type -vlnv -reference -revision} 1 1 create_bd_design {
        set name [lindex $others 0]
        if {[dict exists $::recorder::cells $name]} { fail "there is a cell $name already" }
        switch [dict get $given -type] {
            ip {
                if {![regexp {^xilinx\.com:ip:(processing_system7|proc_sys_reset|smartconnect)(:[\d.]+)?$} [dict get $given -vlnv] -> kind]} {
                    fail "the catalogue holds no IP [dict get $given -vlnv]"
                }
                dict set ::recorder::cells $name [dict create kind $kind properties {}]
            }
            module {
                if {![recorder::is update_compile_order]} { fail "create_bd_cell -type module comes before update_compile_order" }
                dict set ::recorder::cells $name [recorder::read_module [dict get $given -reference]]
            }
            default { fail "create_bd_cell: no -type [dict get $given -type]" }
        }
        return cell:$name
    }
    command apply_bd_automation {} {-rule -config -dict} 1 1 create_bd_design {
        set name [string range [lindex $others 0] 5 end]
        recorder::cell_of $name
        if {[dict get $given -rule] ne "xilinx.com:bd_rule:processing_system7"} { fail "there is no rule [dict get $given -rule]" }
        dict for {key value} [dict get $given -config] {
            switch $key {
                make_external { foreach port [split $value ,] { lappend ::recorder::external $name/[string trim $port] } }
                apply_board_preset { if {$value} { fail "apply_board_preset needs board files" } }
                Master - Slave {}
                default { fail "rule processing_system7 has no setting $key" }
            }
        }
    }
    command set_property {} {-dict} 1 3 create_project {
        if {[dict exists $given -dict]} {
            if {[llength $others] != 1} { fail "set_property -dict takes the pairs and the object" }
            set pairs [dict get $given -dict]
            if {[llength $pairs] % 2} { fail "set_property -dict: a value is missing" }
        } else {
            if {[llength $others] != 3} { fail "set_property takes a name, a value and an object" }
            set pairs [lrange $others 0 1]
        }
        set object [lindex $others end]
        foreach {property value} $pairs {
            switch -glob $object {
                cell:* {
                    set name [string range $object 5 end]
                    switch [dict get [recorder::cell_of $name] kind] {
                        processing_system7 { recorder::check_processing_system $property $value }
                        smartconnect {
                            if {$property ni {CONFIG.NUM_SI CONFIG.NUM_MI CONFIG.NUM_CLKS} || ![regexp {^([1-9]|1[0-6])$} $value]} {
                                fail "smartconnect cannot have $property $value"
                            }
                        }
                        default { fail "$name has no property $property" }
                    }
                    dict set ::recorder::cells $name properties $property $value
                    recorder::note property $name $property $value
                }
                fileset:* {
                    if {$property ni {verilog_define top include_dirs generic}} { fail "a fileset has no property $property" }
                    if {$property eq "top"} {
                        if {![recorder::is make_wrapper] || $value ne "${::recorder::options}_wrapper"} { fail "there is no module $value for the top" }
                        recorder::done "setting the top"
                    }
                    recorder::note fileset $property $value
                }
                default { fail "set_property: $object is no object" }
            }
        }
    }
    foreach {name what table} {get_bd_pins pin pins get_bd_intf_pins interface interfaces} {
        command $name {-regexp -nocase -hierarchical} {-filter -of_objects} 0 1 create_bd_design "
            set found {}
            foreach path \[lindex \$others 0\] { recorder::find $what $table \$path; lappend found $what:\$path }
            return \$found
        "
    }
    command connect_bd_net {} {-net} 1 100 create_bd_design {
        set drivers {}
        set loads {}
        set all [concat {*}$others]
        if {[llength $all] < 2} { fail "connect_bd_net: nothing to connect [lindex $all 0] with" }
        foreach object $all {
            if {![string match pin:* $object]} { fail "connect_bd_net: $object is no pin" }
            set path [string range $object 4 end]
            lassign [recorder::find pin recorder::pins $path] direction type
            if {$direction eq "O"} { lappend drivers $path } else { lappend loads $path }
            if {$direction eq "I" && [dict exists $::recorder::nets $path]} { fail "$path has a driver already" }
            lappend types $type
        }
        if {[llength $drivers] != 1} { fail "connect_bd_net: [llength $drivers] drivers: $drivers" }
        if {("clk" in $types) && [lsort -unique $types] ne "clk"} { fail "connect_bd_net: a clock and something else: $all" }
        if {("rst" in $types) && [lsort -unique $types] ne "rst"} { fail "connect_bd_net: a reset and something else: $all" }
        foreach load $loads { dict set ::recorder::nets $load [lindex $drivers 0] }
        recorder::note net [lindex $drivers 0] $loads
    }
    command connect_bd_intf_net {} {-intf_net} 2 2 create_bd_design {
        set roles {}
        foreach object $others {
            set path [string range $object 10 end]
            if {![string match interface:* $object]} { fail "connect_bd_intf_net: $object is no interface" }
            if {[dict exists $::recorder::nets $path]} { fail "$path is connected already" }
            lappend roles [recorder::find interface recorder::interfaces $path]
            dict set ::recorder::nets $path 1
        }
        if {[lsort $roles] ne {master slave}} { fail "connect_bd_intf_net: a $roles pair: $others" }
        recorder::note interface {*}$others
    }
    command get_bd_addr_spaces {} {-filter -of_objects} 0 1 create_bd_design {
        lassign [split [lindex $others 0] /] name space
        if {[dict get [recorder::cell_of $name] kind] ne "processing_system7" || $space ne "Data"} { fail "there is no address space [lindex $others 0]" }
        return space:[lindex $others 0]
    }
    command get_bd_addr_segs {-excluded} {-filter -of_objects} 0 1 create_bd_design {
        lassign [split [lindex $others 0] /] name interface segment
        if {[recorder::find interface recorder::interfaces $name/$interface] ne "slave" || $segment ne "reg0"} { fail "there is no segment [lindex $others 0]" }
        return segment:[lindex $others 0]
    }
    command assign_bd_address {-boundary -force} {-target_address_space -offset -range -import_from_file -export_to_file} 0 1 create_bd_design {
        if {![llength $others]} { return [recorder::done "assign_bd_address of the rest"] }
        if {![string match space:* [dict get $given -target_address_space]]} { fail "assign_bd_address: no address space" }
        set path [string range [lindex $others 0] 8 end]
        if {![dict exists $::recorder::nets [file dirname $path]]} { fail "assign_bd_address: $path is not reached yet" }
        set offset [dict get $given -offset]
        if {![regexp {^\d+[KMG]$} [dict get $given -range]] || $offset < 0x40000000 || $offset > 0x7fffffff || $offset % 65536} {
            fail "assign_bd_address: $offset [dict get $given -range] is no place of M_AXI_GP0"
        }
        dict set ::recorder::addresses $path $offset
        recorder::note address $path $offset [dict get $given -range]
    }
    command validate_bd_design {-force} {-design} 0 0 create_bd_design { recorder::check_design; recorder::done validate_bd_design }
    command save_bd_design {} {} 0 1 {create_bd_design validate_bd_design} { recorder::done save_bd_design }
    command get_files {-regexp -nocase -all} {-filter -of_objects -compile_order -used_in} 0 100 create_project {
        if {[lindex $others 0] ne "${::recorder::options}.bd" || ![recorder::is save_bd_design]} { fail "get_files: the project holds no $others" }
        return file:[lindex $others 0]
    }
    command make_wrapper {-top -testbench -inst_template -import -force} {-files -fileset} 0 0 save_bd_design {
        if {![dict exists $given -top] || ![dict exists $given -import]} { fail "make_wrapper: a wrapper that is not imported as top" }
        if {![string match file:*.bd [dict get $given -files]]} { fail "make_wrapper: [dict get $given -files] is no block design" }
        recorder::done make_wrapper
    }
    command generate_target {-force} {} 2 2 save_bd_design {
        if {[lindex $others 0] ni {all synthesis simulation instantiation_template}} { fail "generate_target: no target [lindex $others 0]" }
        set folder $::recorder::project/accelerator.gen/sources_1/bd/$::recorder::options/hw_handoff
        file mkdir $folder
        set handoff [open $folder/$::recorder::options.hwh w]
        puts -nonewline $handoff HANDOFF
        close $handoff
        recorder::done generate_target
    }
    command launch_runs {-scripts_only -next_step -force} {-jobs -to_step -host -dir} 1 10 {{setting the top} generate_target} {
        if {$others ne "impl_1"} { fail "launch_runs: no run $others" }
        if {![dict exists $given -to_step] || [dict get $given -to_step] ni $::recorder::steps} { fail "launch_runs: no step [dict get $given -to_step]" }
        if {[dict exists $given -jobs] && ![string is integer -strict [dict get $given -jobs]]} { fail "launch_runs: -jobs [dict get $given -jobs]" }
        recorder::note step [dict get $given -to_step]
        recorder::done launch_runs
    }
    command wait_on_run {} {-timeout} 1 10 launch_runs {
        set folder $::recorder::project/accelerator.runs/impl_1
        file mkdir $folder
        if {[dict get $::recorder::scenario progress] eq "100%"} {
            set channel [open $folder/system_wrapper.bit w]
            puts -nonewline $channel BITS
            close $channel
        }
        recorder::done wait_on_run
    }
    command get_runs {-regexp -nocase} {-filter} 0 1 create_project {
        if {[lindex $others 0] ni {impl_1 synth_1}} { fail "there is no run [lindex $others 0]" }
        return run:[lindex $others 0]
    }
    command get_property {-min -max} {} 2 2 create_project {
        lassign $others property object
        switch -glob $object,$property {
            run:*,PROGRESS { if {![recorder::is wait_on_run]} { fail "PROGRESS before wait_on_run" }; return [dict get $::recorder::scenario progress] }
            run:*,STATUS { return "route_design ERROR" }
            run:*,DIRECTORY { return $::recorder::project/accelerator.runs/impl_1 }
            path:*,SLACK { return [dict get $::recorder::scenario slack] }
            path:*,STARTPOINT_PIN { return {system_i/gatefold_0/inst/top/engine/sequencer/k_reg[2]/C} }
            path:*,ENDPOINT_PIN { return {system_i/gatefold_0/inst/top/engine/sequencer/y_reg[0]/CE} }
            path:*,LOGIC_LEVELS { return 9 }
            default { fail "$object has no property $property" }
        }
    }
    command open_run {} {-name -pr_config} 1 1 wait_on_run {
        if {[dict get $::recorder::scenario progress] ne "100%"} { fail "open_run: the run did not finish" }
        recorder::done open_run
    }
    command report_timing_summary {-setup -hold -no_header -unique_pins -report_unconstrained -warn_on_violation -append -return_string} \
        {-max_paths -nworst -delay_type -path_type -slack_lesser_than -significant_digits -file -name -rpx} 0 0 open_run {
        file copy -force [dict get $::recorder::scenario timing] [dict get $given -file]
    }
    command report_utilization {-append -return_string -hierarchical -hierarchical_percentages -slr -packthru -no_primitives} \
        {-file -cells -pblocks -hierarchical_depth -name -format} 0 0 open_run {
        if {[dict exists $given -hierarchical]} {
            close [open [dict get $given -file] w]
        } else {
            file copy -force [dict get $::recorder::scenario utilization] [dict get $given -file]
        }
    }
    command get_timing_paths {-setup -hold -unique_pins -regexp -nocase} {-from -to -through -delay_type -max_paths -nworst -slack_lesser_than -group -filter} 0 0 open_run {
        return path:1
    }

    # Run a script as `vivado -mode batch -source` does; the exit code.
    proc start {script arguments given properties_file} {
        variable scenario $given
        variable known_properties {}
        set channel [open $properties_file]
        foreach line [split [read $channel] \n] {
            if {![string match #* $line]} { foreach name $line { lappend known_properties "^[string map {# \\d+} $name]\$" } }
        }
        close $channel
        set ::argv $arguments
        set ::argc [llength $arguments]
        proc ::exit {{code 0}} { return -code error -errorcode [list EXIT $code] "exit $code" }
        set failed [catch { uplevel #0 [list source $script] } message details]
        if {!$failed} { return 0 }
        if {[lindex [dict get $details -errorcode] 0] eq "EXIT"} { return [lindex [dict get $details -errorcode] 1] }
        puts stderr $message
        return 97
    }
}
