tutor image build -t layer-order:1 .
sed 's/version 1/version 2/' app.sh > new.sh && mv new.sh app.sh
tutor image build -t layer-order:2 .
