// Cell and hidden values of an LSTM, unit by unit: from the four gates of a unit, enter, forget, candidate, leave in this order, to
//
//     cell   = (sigmoid(forget) * cell + sigmoid(enter) * tanh(candidate)) / 256, saturated at +-32767
//     hidden = sigmoid(leave) * tanh(cell) / 256
//
// rounded half up, all in units of 1/256 (flow/graph/lstm.py). A hidden value leaves eight cycles after its unit's last gate.
`default_nettype none

module engine_cell
    import engine_pkg::*;
#(
    parameter int unsigned HIDDEN = 10,
    localparam int unsigned UW = $clog2(HIDDEN)
) (
    input  wire                clk,
    input  wire                rst_n,
    input  wire                clear,       /// the cell of that unit
    input  wire  [UW-1:0]      clear_unit,
    input  wire                valid,
    // As wide as a layer's outputs are counted.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  [8:0]         index,       /// 4 * unit + gate
    // verilator lint_on UNUSEDSIGNAL
    input  wire  signed [15:0] value,
    output logic               made,
    output logic [UW-1:0]      unit,
    output logic signed [9:0]  hidden
);
    localparam logic [1:0] ENTER = 2'd0, FORGET = 2'd1, CANDIDATE = 2'd2, LEAVE = 2'd3;
    (* ram_style = "distributed" *) logic signed [15:0] cells[1 << UW];

    // Cycles 1 and 2: sigmoid, of a candidate that of twice its value.
    logic          arrives, active;
    logic [1:0]    gate_ahead;
    logic [UW-1:0] at_ahead;
    logic [1:0]    gate;
    logic [UW-1:0] at;
    wire  [8:0]    made_of;
    engine_sigmoid gates (.clk, .x((index[1:0] == CANDIDATE) ? {value, 1'b0} : 17'(value)), .made(made_of));
    wire signed [9:0] candidate = tanh_of(made_of);
    // Cycle 3: products, of a unit two.
    logic [8:0]    enter;
    logic signed [25:0] product;
    logic signed [26:0] kept;  // one half more
    logic          forgets, adds;
    logic [UW-1:0] product_at, sum_at;
    wire signed [15:0] factor = (gate == FORGET) ? cells[at] : 16'(candidate);
    // Cycles 4 and 5: their sum, the cell.
    // Rounded; the lowest bits fall away.
    // verilator lint_off UNUSEDSIGNAL
    logic signed [26:0] sum;
    // verilator lint_on UNUSEDSIGNAL
    logic          summed;
    wire signed [18:0] whole = sum[26:8];
    wire signed [15:0] cell_next = (whole > 19'sd32767) ? 16'sd32767 : (whole < -19'sd32767) ? -16'sd32767 : whole[15:0];
    logic signed [15:0] cell_value;
    // Cycles 6 and 7: tanh. The unit's last gate waits that long.
    wire  [8:0]    cell_sigmoid;
    engine_sigmoid cells_of (.clk, .x({cell_value, 1'b0}), .made(cell_sigmoid));
    localparam int unsigned WAIT = 4;
    logic [WAIT:1]         waits;
    logic [WAIT:1][8:0]    leave;
    logic [WAIT:1][UW-1:0] leave_at;
    // Cycles 8 and 9: hidden values.
    logic          multiplied;
    logic [UW-1:0] multiplied_at;
    // As above.
    // verilator lint_off UNUSEDSIGNAL
    logic signed [19:0] let_out;
    wire signed [19:0]  let_out_rounded = let_out + 20'sd128;
    // verilator lint_on UNUSEDSIGNAL

    always_ff @(posedge clk) begin
        arrives <= rst_n && valid;
        gate_ahead <= index[1:0];
        at_ahead <= index[UW+1:2];
        active <= rst_n && arrives;
        gate <= gate_ahead;
        at <= at_ahead;

        if (active && gate == ENTER) enter <= made_of;
        product <= $signed({1'b0, (gate == FORGET) ? made_of : enter}) * factor;
        product_at <= at;
        forgets <= active && gate == FORGET;
        adds <= rst_n && active && gate == CANDIDATE;

        if (forgets) kept <= product + 27'sd128;
        sum <= kept + product;
        sum_at <= product_at;
        summed <= rst_n && adds;

        if (summed) cell_value <= cell_next;
        if (clear || summed) cells[clear ? clear_unit : sum_at] <= clear ? '0 : cell_next;

        waits <= {waits[WAIT-1:1], active && gate == LEAVE};
        leave <= {leave[WAIT-1:1], made_of};
        leave_at <= {leave_at[WAIT-1:1], at};
        multiplied <= rst_n && waits[WAIT];
        multiplied_at <= leave_at[WAIT];
        let_out <= $signed({1'b0, leave[WAIT]}) * tanh_of(cell_sigmoid);
        made <= rst_n && multiplied;
        unit <= multiplied_at;
        hidden <= let_out_rounded[17:8];
        if (!rst_n) waits <= '0;
    end
endmodule

`default_nettype wire
