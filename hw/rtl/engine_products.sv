// Where the weights and biases of each product of a layer lie that is several, and by what its sums are rescaled.
`default_nettype none

module engine_products
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned PRODUCTS = 3
) (
    input  wire             clk,
    // Of which this memory looks at a part; there are PRODUCTS entries.
    // verilator lint_off UNUSEDSIGNAL
    input  wire load_t      load,
    input  wire [7:0]       entry,
    // verilator lint_on UNUSEDSIGNAL
    output wire products_t  now    /// in the same cycle
);
    localparam int unsigned EW = $clog2(PRODUCTS);
    (* ram_style = "distributed" *) products_t entries[PRODUCTS];
    always_ff @(posedge clk) if (load.write[MEMORY_PRODUCTS]) entries[EW'(load.addr)] <= products_t'(load.beats[3][$bits(products_t)-1:0]);
    assign now = entries[EW'(entry)];
endmodule

`default_nettype wire
