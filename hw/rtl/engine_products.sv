// Where the weights and biases of each product of a layer lie that is several, and by what its sums are rescaled.
`default_nettype none

module engine_products
    import engine_pkg::*;
#(
    parameter int unsigned PRODUCTS = 3
) (
    // There are PRODUCTS entries.
    // verilator lint_off UNUSEDSIGNAL
    input  wire [7:0]       entry,
    // verilator lint_on UNUSEDSIGNAL
    output wire products_t  now    /// in the same cycle
);
    localparam int unsigned EW = $clog2(PRODUCTS);
    products_t entries[PRODUCTS];
    initial $readmemh("products.mem", entries);
    assign now = entries[EW'(entry)];
endmodule

`default_nettype wire
