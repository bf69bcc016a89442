module warmroute/bench

go 1.22
