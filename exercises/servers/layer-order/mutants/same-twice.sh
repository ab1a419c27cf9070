tutor image build -t layer-order:1 .
tutor image build -t layer-order:2 .
