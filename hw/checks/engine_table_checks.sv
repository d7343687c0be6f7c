// A layer begins with its own tables: all words of a copy are written before it is handed over, in order.
`default_nettype none

module engine_table_checks (
    input wire        clk,
    input wire        rst_n,
    input wire        start,
    input wire        ready,
    input wire        we,
    input wire  [5:0] waddr
);
    logic on;
    after_reset contracts (.clk, .rst_n, .on);

    logic [6:0] written;
    always_ff @(posedge clk)
        if (!rst_n || start) written <= '0;
        else if (we) written <= written + 7'd1;

    always_ff @(posedge clk) if (on && start)
        whole: assert (ready && written == 7'd64)
            else $fatal(1, "a layer begins with %0d of 64 words of its tables", written);

    always_ff @(posedge clk) if (on && we)
        order: assert (7'(waddr) == written)
            else $fatal(1, "word %0d of the tables comes when %0d are written", waddr, written);
endmodule

bind engine_table_loader engine_table_checks checks (.*);

`default_nettype wire
