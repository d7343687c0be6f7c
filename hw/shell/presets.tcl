# Processing system of the boards: crystal, memory, and what hangs on the MIO pins. `preset BOARD` gives the properties of
# processing_system7 5.5, without the prefix CONFIG.PCW_; vivado.tcl adds what the accelerator needs.
#
# Facts of the boards, as they stand in
#   PYNQ-Z1, PYNQ-Z2  the block designs of the PYNQ images (github.com/Xilinx/PYNQ, boards/Pynq-Z1 and Pynq-Z2/base/base.tcl)
#   ZedBoard          the preset of that name in processing_system7, as a block design holds it that was exported with it
# Memory: two 16-bit DDR3 chips as one 32-bit bus on the ZedBoard, one 16-bit chip on the others; 512 MiB each.

# Pins that the three boards share.
set shared_pins {
    PRESET_BANK0_VOLTAGE {LVCMOS 3.3V}  PRESET_BANK1_VOLTAGE {LVCMOS 1.8V}
    QSPI_PERIPHERAL_ENABLE 1            QSPI_QSPI_IO {MIO 1 .. 6}
    QSPI_GRP_SINGLE_SS_ENABLE 1         QSPI_GRP_SINGLE_SS_IO {MIO 1 .. 6}   QSPI_PERIPHERAL_FREQMHZ 200
    ENET0_PERIPHERAL_ENABLE 1           ENET0_ENET0_IO {MIO 16 .. 27}        ENET0_PERIPHERAL_FREQMHZ {1000 Mbps}
    ENET0_GRP_MDIO_ENABLE 1             ENET0_GRP_MDIO_IO {MIO 52 .. 53}
    USB0_PERIPHERAL_ENABLE 1            USB0_USB0_IO {MIO 28 .. 39}
    SD0_PERIPHERAL_ENABLE 1             SD0_SD0_IO {MIO 40 .. 45}            SDIO_PERIPHERAL_FREQMHZ 50
    SD0_GRP_CD_ENABLE 1                 SD0_GRP_CD_IO {MIO 47}
}
set shared_memory {
    UIPARAM_DDR_ENABLE 1                UIPARAM_DDR_MEMORY_TYPE {DDR 3}      UIPARAM_DDR_BL 8
    UIPARAM_DDR_TRAIN_WRITE_LEVEL 1     UIPARAM_DDR_TRAIN_READ_GATE 1        UIPARAM_DDR_TRAIN_DATA_EYE 1
    UIPARAM_DDR_HIGH_TEMP {Normal (0-85)}
}
set pynq {
    CRYSTAL_PERIPHERAL_FREQMHZ 50       APU_PERIPHERAL_FREQMHZ 650
    QSPI_GRP_FBCLK_ENABLE 1             QSPI_GRP_FBCLK_IO {MIO 8}
    UART0_PERIPHERAL_ENABLE 1           UART0_UART0_IO {MIO 14 .. 15}        UART_PERIPHERAL_FREQMHZ 100
    UIPARAM_DDR_PARTNO Custom           UIPARAM_DDR_FREQ_MHZ 525             UIPARAM_DDR_BUS_WIDTH {16 Bit}
    UIPARAM_DDR_DRAM_WIDTH {16 Bits}    UIPARAM_DDR_DEVICE_CAPACITY {4096 MBits}
    UIPARAM_DDR_SPEED_BIN DDR3_1066F    UIPARAM_DDR_BANK_ADDR_COUNT 3        UIPARAM_DDR_ROW_ADDR_COUNT 15
    UIPARAM_DDR_COL_ADDR_COUNT 10       UIPARAM_DDR_CL 7                     UIPARAM_DDR_CWL 6
    UIPARAM_DDR_T_RCD 13.125            UIPARAM_DDR_T_RP 13.125              UIPARAM_DDR_T_RC 50.625
    UIPARAM_DDR_T_RAS_MIN 35.0          UIPARAM_DDR_T_FAW 40.0               UIPARAM_DDR_USE_INTERNAL_VREF 0
    UIPARAM_DDR_DQS_TO_CLK_DELAY_0 0.040  UIPARAM_DDR_DQS_TO_CLK_DELAY_1 0.058
    UIPARAM_DDR_DQS_TO_CLK_DELAY_2 0.000  UIPARAM_DDR_DQS_TO_CLK_DELAY_3 0.000
    UIPARAM_DDR_BOARD_DELAY0 0.223      UIPARAM_DDR_BOARD_DELAY1 0.212
    UIPARAM_DDR_BOARD_DELAY2 0.085      UIPARAM_DDR_BOARD_DELAY3 0.092
}
set zedboard {
    CRYSTAL_PERIPHERAL_FREQMHZ 33.333333  APU_PERIPHERAL_FREQMHZ 666.666667
    UART1_PERIPHERAL_ENABLE 1           UART1_UART1_IO {MIO 48 .. 49}        UART_PERIPHERAL_FREQMHZ 50
    SD0_GRP_WP_ENABLE 1                 SD0_GRP_WP_IO {MIO 46}
    GPIO_MIO_GPIO_ENABLE 1              GPIO_MIO_GPIO_IO MIO
    UIPARAM_DDR_PARTNO {MT41J128M16 HA-15E}  UIPARAM_DDR_FREQ_MHZ 533.333313 UIPARAM_DDR_BUS_WIDTH {32 Bit}
    UIPARAM_DDR_USE_INTERNAL_VREF 1
    UIPARAM_DDR_DQS_TO_CLK_DELAY_0 0.025  UIPARAM_DDR_DQS_TO_CLK_DELAY_1 0.028
    UIPARAM_DDR_DQS_TO_CLK_DELAY_2 -0.009 UIPARAM_DDR_DQS_TO_CLK_DELAY_3 -0.061
    UIPARAM_DDR_BOARD_DELAY0 0.41       UIPARAM_DDR_BOARD_DELAY1 0.411
    UIPARAM_DDR_BOARD_DELAY2 0.341      UIPARAM_DDR_BOARD_DELAY3 0.358
}
# The PYNQ-Z2 also has an I2C bus on two pins.
set presets [dict create \
    pynq-z1 [concat $shared_pins $shared_memory $pynq] \
    pynq-z2 [concat $shared_pins $shared_memory $pynq {I2C0_PERIPHERAL_ENABLE 1 I2C0_I2C0_IO {MIO 50 .. 51}}] \
    zedboard [concat $shared_pins $shared_memory $zedboard]]

proc preset {board} {
    global presets
    if {![dict exists $presets $board]} {
        error "there is no preset of $board; choose one of [join [dict keys $presets] {, }]"
    }
    return [dict get $presets $board]
}
